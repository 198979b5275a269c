import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { decodeCursor } from '../../src/http/cursor.ts'
import { takeTurns, type ReadInTurn } from '../../src/http/fair-gate.ts'
import { serializeInParts } from '../../src/http/json-parts.ts'
import { createJsonStream } from '../../src/http/json-stream.ts'
import { paginate } from '../../src/http/pagination.ts'
import { isStorableText } from '../../src/lib/formats.ts'
import {
  countFitting,
  type ItemFilter,
  type ListedItem,
  type ListPosition
} from '../../src/model/items.ts'
import type { Collection, Provider } from '../../src/providers/provider.ts'
import type { SyncState } from '../../src/model/states.ts'
import { evaluateSyncState } from '../../src/sync/sync-state.ts'
import { createListParameters, resolveLimit, type ListQuery } from './list-parameters.ts'
import { createItemSchemaWithBody, toItemResponse } from './schema.ts'

/**
 * A day: a list that is read slowly is not cut while it makes progress. Connections without any
 * traffic end earlier (`connectionTimeout` in src/app.ts), statements too.
 */
export const LIST_TIMEOUT_MS = 24 * 3_600_000

/** A page with bodies ends after the item that fills it; the next page has the rest. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024
/** A page of rows is sent together, or in parts of about this length. */
const MAX_PIECE_LENGTH = 64 * 1024
const JSON_TYPE = 'application/json; charset=utf-8'

/** How complete a list is. */
export interface ListInfo {
  syncState: SyncState
  /** ISO 8601, UTC. */
  asOf: string | null
  /** Items with the same filters, on all pages. */
  total?: number
}

/** The members beside `items`; undefined: the response is an array. */
type ToEnvelope = ((info: ListInfo) => object) | undefined

/**
 * The list of a collection: its query parameters, and its responses.
 *
 * @param collection one that callers can post to has the lists of the earlier service, which
 *   without `limit` contain everything (docs/reference/contract.md#1-endpoints)
 */
export function createItemList(app: FastifyInstance, provider: Provider, collection: Collection) {
  const { store } = app
  const { table, body } = collection
  const items = store.items(collection.name)
  const ItemSchema = createItemSchemaWithBody(collection, true)
  const isWholeByDefault = collection.manualUpload !== undefined

  return {
    parameters: createListParameters(collection, isWholeByDefault),
    ItemSchema,
    /** Unknown query parameters are ignored where the earlier service had the list. */
    queryConfig: isWholeByDefault ? { unknownQuery: 'ignored' as const } : {},

    /**
     * Sends the items of an owner: one page, with a `Link` header where there is more, or
     * everything. The ETag contains the latest sequence number of the owner's change feed, which
     * every change increases; if If-None-Match contains it, responds 304 without reading the list.
     *
     * @param ownerId undefined: there is no user, and the list is empty
     */
    async send(
      ownerId: number | undefined,
      request: FastifyRequest,
      reply: FastifyReply,
      toEnvelope?: ToEnvelope
    ): Promise<FastifyReply> {
      if (ownerId === undefined) {
        return await sendRows(reply, [], { syncState: 'never', asOf: null, total: 0 }, toEnvelope)
      }
      const query = request.query as ListQuery
      const includeBodies = query.include === 'body'
      const limit = resolveLimit(query, includeBodies)
      const position = decodeCursor(query.cursor, isListPosition)
      const { seq } = await store.changeFeed.getState(ownerId)
      const { state: syncState, asOf } = evaluateSyncState(
        await store.syncStates.get(ownerId, provider.id, collection.name)
      )
      const info: ListInfo = { syncState, asOf: asOf?.toISOString() ?? null }
      // The envelope contains the state, so it is part of that version.
      const version = toEnvelope === undefined ? '' : `.${syncState}.${asOf?.getTime() ?? 0}`
      const etag = `"${ownerId}.${seq}${version}"`
      reply.header('etag', etag).header('cache-control', 'private, no-cache')
      if (isEtagMatch(request.headers['if-none-match'], etag)) {
        setListHeaders(reply, info)
        return await reply.code(304).send()
      }

      const filter = {
        parentKey: query[table.filterBy.parameter] as string | undefined,
        updatedSince:
          query.updated_since === undefined ? undefined : Date.parse(query.updated_since),
        text: query.q
      }
      // A search reads every row of the owner, so it waits for its turn.
      const read: ReadInTurn =
        filter.text === undefined
          ? async (_id, readNow) => await readNow()
          : app.fairShare.readInTurn
      info.total = await read(ownerId, async () => await items.count(ownerId, seq, filter))
      if (includeBodies) {
        const sizes = await read(
          ownerId,
          async () => await items.listSizes(ownerId, limit + 1, position, filter)
        )
        const count = countFitting(
          sizes.slice(0, limit).map(({ bytes }) => bytes),
          MAX_ANSWER_BYTES
        )
        const { page, headers } = paginate(sizes, count, request.url, ({ position }) => position)
        setListHeaders(reply.headers(headers), info)
        return await sendStream(
          ownerId,
          items.readWithBody(ownerId, page),
          (row, serialize) =>
            serializeInParts(
              { ...toItemResponse(collection, row), body: body?.toResponse(row) ?? null },
              serialize
            ),
          info,
          request,
          reply,
          toEnvelope
        )
      }
      const isWhole = isWholeByDefault && query.limit === undefined && position === undefined
      const rows =
        isWhole && info.total > limit
          ? undefined
          : await read(ownerId, async () => await items.list(ownerId, limit + 1, position, filter))
      // Items may have been added since they were counted.
      if (rows === undefined || (isWhole && rows.length > limit)) {
        return await sendSnapshot(ownerId, seq, filter, info, request, reply, toEnvelope)
      }
      const { page, headers } = paginate(rows, limit, request.url, (row) => [
        String(row[table.sortBy]),
        row.id
      ])
      const responses = page.map((row) => toItemResponse(collection, row))
      return await sendRows(reply.headers(headers), responses, info, toEnvelope)
    }
  }

  /**
   * Streams everything. The list is fixed when it starts, so an item that is renamed meanwhile is
   * neither skipped nor repeated.
   */
  async function sendSnapshot(
    ownerId: number,
    seq: number,
    filter: ItemFilter,
    info: ListInfo,
    request: FastifyRequest,
    reply: FastifyReply,
    toEnvelope: ToEnvelope
  ): Promise<FastifyReply> {
    if (request.method === 'HEAD') {
      setListHeaders(reply, info)
      return await sendEmpty(reply)
    }
    const snapshot = await items.takeSnapshot(ownerId, seq, filter)
    const snapshotInfo = { ...info, total: snapshot.total }
    setListHeaders(reply, snapshotInfo)
    return await sendStream(
      ownerId,
      items.readSnapshot(ownerId, snapshot),
      (row, serialize) => [serialize(toItemResponse(collection, row))],
      snapshotInfo,
      request,
      reply,
      toEnvelope
    )
  }

  /** Sends a list row by row; each page of it is read when it is the owner's turn. */
  async function sendStream(
    ownerId: number,
    pages: AsyncGenerator<ListedItem[]>,
    toJson: (
      row: ListedItem,
      serialize: (item: Record<string, unknown>) => string
    ) => Iterable<string>,
    info: ListInfo,
    request: FastifyRequest,
    reply: FastifyReply,
    toEnvelope: ToEnvelope
  ): Promise<FastifyReply> {
    if (request.method === 'HEAD') return await sendEmpty(reply)
    const serializeItem = reply.compileSerializationSchema(ItemSchema)
    const pieces = streamList(
      toEnvelope?.(info),
      takeTurns(pages, app.fairShare.readInTurn, ownerId),
      (row) => toJson(row, serializeItem)
    )
    return await reply.type(JSON_TYPE).send(
      createJsonStream(pieces, {
        isStopping: app.isGraceOver,
        isAuthorized: request.isStillAuthorized.bind(request),
        log: request.log,
        abortedEvent: 'list_aborted',
        abortedMessage: 'The list could not be completed; the connection is closed.'
      })
    )
  }
}

async function sendEmpty(reply: FastifyReply): Promise<FastifyReply> {
  return await reply.type(JSON_TYPE).send(Readable.from([]))
}

async function sendRows(
  reply: FastifyReply,
  rows: object[],
  info: ListInfo,
  toEnvelope: ToEnvelope
): Promise<FastifyReply> {
  setListHeaders(reply, info)
  return await reply.send(toEnvelope === undefined ? rows : { ...toEnvelope(info), items: rows })
}

function setListHeaders(reply: FastifyReply, { asOf, syncState, total }: ListInfo): void {
  reply.header('x-sync-state', syncState)
  if (asOf !== null) reply.header('x-as-of', asOf)
  if (total !== undefined) reply.header('x-total-count', total)
}

/** A list as JSON text: pieces of many short rows, or of a part of a long one. */
async function* streamList(
  envelope: object | undefined,
  pages: AsyncGenerator<ListedItem[]>,
  serializeItem: (row: ListedItem) => Iterable<string>
): AsyncGenerator<string> {
  yield envelope === undefined ? '[' : `${JSON.stringify(envelope).slice(0, -1)},"items":[`
  let piece = ''
  let separator = ''
  for await (const page of pages) {
    for (const row of page) {
      piece += separator
      for (const part of serializeItem(row)) {
        piece += part
        if (piece.length < MAX_PIECE_LENGTH) continue
        yield piece
        piece = ''
      }
      separator = ','
    }
    // Rows are not kept while the client reads.
    if (piece !== '') yield piece
    piece = ''
  }
  yield envelope === undefined ? ']' : ']}'
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
