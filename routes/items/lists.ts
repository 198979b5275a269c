import { Type, type TProperties } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { decodeCursor } from '../../src/http/cursor.ts'
import { AppError } from '../../src/lib/errors.ts'
import { isStorableText } from '../../src/lib/formats.ts'
import { paginate } from '../../src/http/pagination.ts'
import type { Collection } from '../../src/providers/provider.ts'
import {
  Id,
  Nullable,
  PaginationParameters,
  Timestamp,
  toItemTypeName
} from '../../src/http/schemas.ts'
import type { ListedItem, ListPosition } from '../../src/model/items.ts'

/** Bodies make items heavy: so many at most come with theirs. */
const MAX_ITEMS_WITH_BODY = 100

interface ListQuery {
  limit?: number
  cursor?: string
  updated_since?: string
  q?: string
  include?: 'body'
  [within: string]: string | number | undefined
}

/** One item as lists serve it. */
export function createItemSchema({ name, responseFields }: Collection) {
  return Type.Object(
    {
      id: Id,
      owner_id: Id,
      ...responseFields,
      updated_at: {
        ...Timestamp,
        description:
          'When it was changed at Atlassian, or here where Atlassian does not say. ISO 8601, UTC'
      }
    },
    { title: toItemTypeName(name) }
  )
}

/**
 * One item of a collection that has bodies, with its body.
 *
 * @param isOptional whether the field is absent unless the caller asks for it
 */
export function createItemSchemaWithBody(collection: Collection, isOptional: boolean) {
  const { name, body } = collection
  if (body === undefined) return createItemSchema(collection)
  const BodyResponse = Nullable(body.responseSchema)
  const bodyFields: TProperties = { body: isOptional ? Type.Optional(BodyResponse) : BodyResponse }
  return Type.Composite([createItemSchema(collection), Type.Object(bodyFields)], {
    title: `${toItemTypeName(name)}WithBody`
  })
}

export function toItemResponse(collection: Collection, row: ListedItem) {
  const { id, ownerId, updatedAt, remoteUpdatedAt } = row
  return {
    id,
    owner_id: ownerId,
    ...collection.toResponse(row),
    updated_at: (remoteUpdatedAt ?? updatedAt).toISOString()
  }
}

/** The list of a collection: what it may be asked for, what it serves, and one page of it. */
export function createItemList({ store }: FastifyInstance, collection: Collection) {
  const { parentFilter, table, body } = collection
  const items = store.items(collection.name)
  const filterParameters: TProperties = {
    [table.filterBy.parameter]: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 255,
        format: 'text',
        description: parentFilter.description,
        example: parentFilter.example
      })
    )
  }
  const includeParameters: TProperties =
    body !== undefined
      ? {
          limit: Type.Optional(
            Type.Integer({
              ...withoutDefault(PaginationParameters.limit),
              description:
                `Maximum number of items. Default: ${PaginationParameters.limit.default}; ` +
                `with \`include=body\` ${MAX_ITEMS_WITH_BODY}, which is then the maximum`
            })
          ),
          include: Type.Optional(
            Type.Unsafe<'body'>({
              type: 'string',
              enum: ['body'],
              description: `body: with bodies, which the connection copies while its ${body.option} is on`
            })
          )
        }
      : {}

  return {
    parameters: {
      ...PaginationParameters,
      ...filterParameters,
      updated_since: Type.Optional(
        Type.String({
          format: 'instant',
          maxLength: 40,
          description: 'Only what was changed at this moment or later',
          example: '2026-11-23T12:00:00Z'
        })
      ),
      q: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 200,
          format: 'text',
          description:
            'Only what has this in its title, name or key; capital and small letters of ASCII are the same',
          example: 'runbook'
        })
      ),
      ...includeParameters
    },

    ItemSchema: createItemSchemaWithBody(collection, true),

    /**
     * Reads one page of an owner's items. Sets a Link header if there are more, and an ETag: the
     * latest sequence number of the owner's change feed, which every change increases. If
     * If-None-Match contains it, responds 304 without reading the list.
     */
    async readPage(
      ownerId: number,
      { url, headers, query: requestQuery }: FastifyRequest,
      reply: FastifyReply
    ) {
      const query = requestQuery as ListQuery
      const includeBodies = query.include === 'body'
      const limit = resolveLimit(query, includeBodies)
      const position = decodeCursor(query.cursor, isListPosition)
      const { seq } = await store.changeFeed.getState(ownerId)
      const etag = `"${ownerId}.${seq}"`
      reply.header('etag', etag).header('cache-control', 'private, no-cache')
      if (isEtagMatch(headers['if-none-match'], etag)) {
        reply.code(304)
        return undefined
      }
      const rows = await (includeBodies ? items.listWithBody : items.list)(
        ownerId,
        limit + 1,
        position,
        {
          parentKey: query[table.filterBy.parameter] as string | undefined,
          updatedSince:
            query.updated_since === undefined ? undefined : Date.parse(query.updated_since),
          text: query.q
        }
      )
      const result = paginate(rows, limit, url, (row) => [String(row[table.sortBy]), row.id])
      reply.headers(result.headers)
      return result.page.map((row) =>
        includeBodies
          ? { ...toItemResponse(collection, row), body: body?.toResponse(row) ?? null }
          : toItemResponse(collection, row)
      )
    }
  }
}

/** @throws AppError `validation_failed` */
function resolveLimit({ limit }: ListQuery, includeBodies: boolean): number {
  if (!includeBodies) return limit ?? (PaginationParameters.limit.default as number)
  if ((limit ?? 0) > MAX_ITEMS_WITH_BODY) {
    throw new AppError(
      'validation_failed',
      `With include=body a page has at most ${MAX_ITEMS_WITH_BODY} items.`,
      {
        errors: [
          {
            pointer: '/limit',
            detail: `Value must be <= ${MAX_ITEMS_WITH_BODY} with include=body.`
          }
        ]
      }
    )
  }
  return limit ?? MAX_ITEMS_WITH_BODY
}

/** RFC 9110 section 13.1.2: weak comparison, and `*` for anything. */
function isEtagMatch(header: string | undefined, etag: string): boolean {
  return (
    header !== undefined &&
    (header.trim() === '*' ||
      header.split(',').some((each) => each.trim().replace(/^W\//, '') === etag))
  )
}

function isListPosition(value: unknown): value is ListPosition {
  return (
    Array.isArray(value) &&
    value.length === 2 &&
    typeof value[0] === 'string' &&
    isStorableText(value[0]) &&
    Number.isSafeInteger(value[1])
  )
}

function withoutDefault<Schema extends { default?: unknown }>({
  default: _default,
  ...schema
}: Schema) {
  return schema
}
