import { Type, type TProperties } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { readCursor } from '../../src/http/cursor.ts'
import { AppError } from '../../src/lib/errors.ts'
import { isText } from '../../src/lib/formats.ts'
import { pageOf } from '../../src/http/pagination.ts'
import type { Collection } from '../../src/providers/provider.ts'
import { Id, Nullable, Paging, Time } from '../../src/http/schemas.ts'
import type { ItemTable, Listed, Position } from '../../src/model/items.ts'
import { tableOf } from '../../src/sync/copy-collection.ts'

/** Bodies make items heavy: so many at most come with theirs. */
const MOST_WITH_BODIES = 100

interface Query {
  limit?: number
  cursor?: string
  updated_since?: string
  q?: string
  include?: 'body'
  [within: string]: string | number | undefined
}

export const Body = Type.Object(
  {
    storage: Type.String({
      description: "Confluence's storage format",
      example: '<p>Restart the worker.</p>'
    }),
    text: Type.String({
      description: 'Its words, a line for each block',
      example: 'Restart the worker.'
    })
  },
  {
    description:
      'With include=body; null where the connection does not copy bodies, or there is none'
  }
)

/** One item as lists serve it. */
export function rowSchema({ row }: Collection) {
  return Type.Object({
    id: Id,
    owner_id: Id,
    ...row,
    updated_at: {
      ...Time,
      description:
        'When it was changed at Atlassian, or here where Atlassian does not say. ISO 8601, UTC'
    }
  })
}

export function view(collection: Collection, row: Listed<ItemTable>) {
  const { id, ownerId, updatedAt, remoteUpdatedAt } = row
  return {
    id,
    owner_id: ownerId,
    ...collection.toWire(row as never),
    updated_at: (remoteUpdatedAt ?? updatedAt).toISOString()
  }
}

/** The list of a collection: what it may be asked for, what it serves, and one page of it. */
export function listOf({ store }: FastifyInstance, collection: Collection) {
  const { within } = collection
  const table = tableOf(store, collection.name)
  const narrowing: TProperties =
    within === undefined
      ? {}
      : {
          [within.name]: Type.Optional(
            Type.String({
              minLength: 1,
              maxLength: 255,
              format: 'text',
              description: within.description,
              example: within.example
            })
          )
        }
  const including: TProperties = table.hasLong
    ? {
        limit: Type.Optional(
          Type.Integer({
            ...withoutDefault(Paging.limit),
            description: `How many at most. Default: ${Paging.limit.default}, and with include=body ${MOST_WITH_BODIES}, which is the most then`
          })
        ),
        include: Type.Optional(
          Type.Unsafe<'body'>({
            type: 'string',
            enum: ['body'],
            description:
              'body: with the bodies, which the connection copies where its page_bodies is on'
          })
        )
      }
    : {}

  return {
    query: {
      ...Paging,
      ...narrowing,
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
      ...including
    },

    Item: table.hasLong
      ? Type.Composite([
          rowSchema(collection),
          Type.Object({ body: Type.Optional(Nullable(Body)) })
        ])
      : rowSchema(collection),

    /**
     * One page of an owner's items. The answer gets a Link header when there is more, and an ETag: the place of the owner's
     * change feed, which every change moves. Who has that already is told so without reading a list.
     */
    async page(
      ownerId: number,
      { url, headers, query: asked }: FastifyRequest,
      reply: FastifyReply
    ) {
      const query = asked as Query
      const whole = query.include === 'body'
      const limit = limitOf(query, whole)
      const after = readCursor(query.cursor, isPosition)
      const { seq } = await store.feed.state(ownerId)
      const etag = `"${ownerId}.${seq}"`
      reply.header('etag', etag).header('cache-control', 'private, no-cache')
      if (isKnown(headers['if-none-match'], etag)) {
        reply.code(304)
        return undefined
      }
      const rows = await (whole ? table.listWhole : table.list)(ownerId, limit + 1, after, {
        within: query[within?.name ?? ''] as string | undefined,
        since: query.updated_since === undefined ? undefined : Date.parse(query.updated_since),
        text: query.q
      })
      const found = pageOf(rows, limit, url, (row) => [collection.sortValue(row as never), row.id])
      reply.headers(found.headers)
      return found.page.map((row) =>
        whole ? { ...view(collection, row), body: bodyOf(row) } : view(collection, row)
      )
    }
  }
}

/** @throws AppError `validation_failed` */
function limitOf({ limit }: Query, whole: boolean): number {
  if (!whole) return limit ?? (Paging.limit.default as number)
  if ((limit ?? 0) > MOST_WITH_BODIES) {
    throw new AppError(
      'validation_failed',
      `With include=body a page has at most ${MOST_WITH_BODIES} items.`,
      {
        errors: [
          { pointer: '/limit', detail: `Value must be <= ${MOST_WITH_BODIES} with include=body.` }
        ]
      }
    )
  }
  return limit ?? MOST_WITH_BODIES
}

export function bodyOf(row: Listed<ItemTable>) {
  const { body, bodyText } = row as { body?: string | null; bodyText?: string | null }
  return typeof body === 'string' ? { storage: body, text: bodyText ?? '' } : null
}

/** RFC 9110 section 13.1.2: weak comparison, and `*` for anything. */
function isKnown(header: string | undefined, etag: string): boolean {
  return (
    header !== undefined &&
    (header.trim() === '*' ||
      header.split(',').some((each) => each.trim().replace(/^W\//, '') === etag))
  )
}

function isPosition(value: unknown): value is Position {
  return (
    Array.isArray(value) &&
    value.length === 2 &&
    typeof value[0] === 'string' &&
    isText(value[0]) &&
    Number.isSafeInteger(value[1])
  )
}

function withoutDefault<Schema extends { default?: unknown }>({
  default: _default,
  ...schema
}: Schema) {
  return schema
}
