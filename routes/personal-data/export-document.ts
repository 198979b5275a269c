import type { FastifyInstance } from 'fastify'
import { serializeInParts } from '../../src/http/json-parts.ts'
import type { AuditRow } from '../../src/store/repositories/audit-log.ts'
import type { UserRow } from '../../src/store/repositories/users.ts'
import { toAuditResponse } from '../audit/view.ts'
import { listConnectionResponses } from '../connections/view.ts'
import { toRunResponse } from '../integrations/run-view.ts'
import { toItemResponse } from '../items/schema.ts'

/** Rows of what is small that are read at once. */
const BATCH_SIZE = 300

/**
 * All that is kept about a person as one JSON document, a piece for each row, and several for a
 * long one. Few rows are in memory, however many there are and however long they are. What is
 * written while it is read may or may not be in it.
 *
 * @param prefix the alias prefix of the request: links keep it
 * @throws AppError between two pieces, where the database fails; what was sent by then is no document
 */
export async function* streamExport(
  app: FastifyInstance,
  user: UserRow,
  prefix: string
): AsyncGenerator<string> {
  const { store } = app
  const userResponse = {
    id: user.id,
    email: user.email,
    display_name: user.displayName,
    created_at: await store.users.getCreatedAt(user.id)
  }
  yield `{"exported_at":${JSON.stringify(new Date())},"user":${JSON.stringify(userResponse)}`
  yield* streamArray(
    'identities',
    singlePage(async () =>
      (await store.identities.list(user.id)).map(({ issuer, subject, createdAt }) => ({
        issuer,
        subject,
        created_at: createdAt
      }))
    )
  )
  yield* streamConnections(app, user.id, prefix)
  yield* streamArray('runs', streamRuns(app, user.id))
  yield* streamArray(
    'connect_sessions',
    singlePage(async () =>
      (await store.connectSessions.list(user.id)).map(
        ({ id, products, returnUrl, isOpened, createdAt, expiresAt }) => ({
          id,
          products,
          return_url: returnUrl,
          opened: isOpened,
          created_at: createdAt,
          expires_at: expiresAt
        })
      )
    )
  )
  yield* streamArray(
    'logins',
    singlePage(async () =>
      (await store.loginFlows.list(user)).map(
        ({ provider, callerState, returnUrl, scopes, outcome, expiresAt }) => ({
          product: provider,
          state: callerState,
          return_url: returnUrl,
          scopes: scopes.split(' ').filter(Boolean),
          ended: outcome !== null,
          expires_at: expiresAt
        })
      )
    )
  )
  yield* streamArray('audit', streamAudit(app, user.id))
  for (const collection of app.providers.collections) {
    yield* streamArray(
      collection.name,
      mapPages(store.items(collection.name).exportAll(user.id), ({ remoteId, item }) => ({
        remote_id: remoteId,
        ...toItemResponse(collection, item),
        ...(collection.body === undefined ? {} : { body: collection.body.toResponse(item) })
      }))
    )
  }
  yield '}\n'
}

async function* streamConnections(
  app: FastifyInstance,
  userId: number,
  prefix: string
): AsyncGenerator<string> {
  const [rows, responses] = [
    await app.store.connections.list(userId),
    await listConnectionResponses(app, userId, prefix)
  ]
  yield ',"connections":['
  let separator = ''
  for (const response of responses) {
    const connection = rows.find(
      ({ connection: { provider } }) => provider === response.product
    )?.connection
    if (connection === undefined) continue
    yield `${separator}${JSON.stringify({ id: connection.id, ...response }).slice(0, -1)}`
    yield* streamArray(
      'history',
      paginateById(
        async (before) => await app.store.connectionHistory.list(connection.id, BATCH_SIZE, before)
      )
    )
    yield '}'
    separator = ','
  }
  yield ']'
}

async function* streamRuns({ store, providers }: FastifyInstance, userId: number) {
  for (const { id } of providers.all) {
    yield* mapPages(
      paginateById(async (before) => await store.runs.list(userId, id, BATCH_SIZE, before)),
      toRunResponse
    )
  }
}

function streamAudit({ store }: FastifyInstance, userId: number) {
  const pages = paginateById(async (before) =>
    (await store.audit.list({ userId }, BATCH_SIZE, before)).map((row) => ({ ...row, id: row.seq }))
  )
  return mapPages(pages, (row) =>
    toAuditResponse(isByOtherActor(row) ? { ...row, ip: null, actorName: null } : row)
  )
}

/** Where a key's machine stands, and who operates the service, is about them and not about the person. */
function isByOtherActor({ actor }: AuditRow): boolean {
  return actor === 'key' || actor === 'operator'
}

/** A field that is a list, written page by page, with what comes before it. */
async function* streamArray(
  name: string,
  pages: AsyncIterable<readonly object[]>
): AsyncGenerator<string> {
  yield `,"${name}":[`
  let separator = ''
  for await (const page of pages) {
    for (const row of page) {
      if (separator !== '') yield separator
      yield* serializeInParts(row)
      separator = ','
    }
  }
  yield ']'
}

async function* singlePage<T extends object>(readRows: () => Promise<T[]>): AsyncGenerator<T[]> {
  yield await readRows()
}

/** Newest first, page by page. */
async function* paginateById<T extends { id: number }>(
  readPage: (before: number | undefined) => Promise<T[]>
): AsyncGenerator<T[]> {
  let before: number | undefined
  while (true) {
    const page = await readPage(before)
    yield page
    before = page.at(-1)?.id
    if (page.length < BATCH_SIZE) return
  }
}

async function* mapPages<T, U>(
  pages: AsyncIterable<T[]>,
  toResponse: (row: T) => U
): AsyncGenerator<U[]> {
  for await (const page of pages) yield page.map(toResponse)
}
