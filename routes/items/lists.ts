import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { readCursor, writeCursor } from '../../src/cursor.ts'
import { isText } from '../../src/formats.ts'
import { nextLink } from '../../src/paths.ts'
import type { Collection } from '../../src/providers/provider.ts'
import { Id } from '../../src/schemas.ts'
import type { Position } from '../../src/store/collection.ts'
import type { Store } from '../../src/store/index.ts'

/** One item as lists serve it. */
export function rowSchema ({ row }: Collection) {
  return Type.Object({ id: Id, owner_id: Id, ...row })
}

/**
 * The table of a collection. Proof of the cast: tables differ only in the columns that the collection itself reads and
 * writes, so whichever it is, handing it its own items back is right.
 */
export function tableOf (app: FastifyInstance, { name }: Collection): Store['projects'] {
  return app.store[name] as Store['projects']
}

export function view (collection: Collection, row: Awaited<ReturnType<Store['projects']['list']>>[number]) {
  return { id: row.id, owner_id: row.ownerId, ...collection.toWire(row as never) }
}

/** One page of an owner's items; the answer gets a Link header when there is more. */
export async function listItems (app: FastifyInstance, collection: Collection, ownerId: number, request: FastifyRequest, reply: FastifyReply) {
  const { limit, cursor } = request.query as { limit: number, cursor?: string }
  const rows = await tableOf(app, collection).list(ownerId, limit + 1, readCursor(cursor, isPosition))
  const last = rows.length > limit ? rows[limit - 1] : undefined
  if (last !== undefined) reply.header('link', nextLink(request.url, writeCursor([collection.sortValue(last as never), last.id])))
  return rows.slice(0, limit).map((row) => view(collection, row))
}

function isPosition (value: unknown): value is Position {
  return Array.isArray(value) && value.length === 2 && typeof value[0] === 'string' && isText(value[0]) && Number.isSafeInteger(value[1])
}
