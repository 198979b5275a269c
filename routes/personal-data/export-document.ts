import type { FastifyInstance } from 'fastify'
import { providers } from '../../src/providers/index.ts'
import type { AuditRow } from '../../src/store/repositories/audit-log.ts'
import type { UserRow } from '../../src/store/repositories/users.ts'
import { tableOf } from '../../src/sync/copy-collection.ts'
import { view as auditView } from '../audit/view.ts'
import { viewAll } from '../connections/view.ts'
import { view as runView } from '../integrations/run-view.ts'
import { bodyOf, view as itemView } from '../items/lists.ts'
import { atOnce, collections } from './schema.ts'

/** Rows of what is small that are read at once. */
const ROWS = 300

/**
 * All that is kept about a person as one JSON document, a piece for each page of rows: no more than that is in memory, however much
 * there is. What is written while it is read may or may not be in it.
 *
 * @param prefix the alias prefix of the request: links keep it
 * @throws AppError between two pieces, where the database fails; what was sent by then is no document
 */
export async function* documentOf(
  app: FastifyInstance,
  user: UserRow,
  prefix: string
): AsyncGenerator<string> {
  const { store } = app
  yield `{"exported_at":${JSON.stringify(new Date())},"user":${JSON.stringify({ id: user.id, email: user.email, display_name: user.displayName, created_at: await store.users.since(user.id) })}`
  yield* list(
    'identities',
    once(async () =>
      (await store.identities.list(user.id)).map(({ issuer, subject, createdAt }) => ({
        issuer,
        subject,
        created_at: createdAt
      }))
    )
  )
  yield* connections(app, user.id, prefix)
  yield* list('runs', runs(app, user.id))
  yield* list(
    'connect_sessions',
    once(async () =>
      (await store.sessions.list(user.id)).map(
        ({ id, products, returnUrl, opened, createdAt, expiresAt }) => ({
          id,
          products,
          return_url: returnUrl,
          opened,
          created_at: createdAt,
          expires_at: expiresAt
        })
      )
    )
  )
  yield* list(
    'logins',
    once(async () =>
      (await store.flows.list(user)).map(
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
  yield* list('audit', audit(app, user.id))
  for (const collection of collections) {
    const table = tableOf(store, collection.name)
    yield* list(
      collection.name,
      mapped(table.everything(user.id, atOnce(store, collection)), ({ site, remoteId, item }) => ({
        site: site === '' ? null : site,
        remote_id: remoteId,
        ...itemView(collection, item),
        ...(table.hasLong ? { body: bodyOf(item) } : {})
      }))
    )
  }
  yield '}\n'
}

async function* connections(
  app: FastifyInstance,
  userId: number,
  prefix: string
): AsyncGenerator<string> {
  const [ids, views] = [
    await app.store.connections.list(userId),
    await viewAll(app, userId, prefix)
  ]
  yield ',"connections":['
  let separator = ''
  for (const view of views) {
    const connection = ids.find(
      ({ connection: { provider } }) => provider === view.product
    )?.connection
    if (connection === undefined) continue
    yield `${separator}${JSON.stringify({ id: connection.id, ...view }).slice(0, -1)}`
    yield* list(
      'history',
      byId(async (before) => await app.store.history.list(connection.id, ROWS, before))
    )
    yield '}'
    separator = ','
  }
  yield ']'
}

async function* runs({ store }: FastifyInstance, userId: number) {
  for (const { id } of providers) {
    yield* mapped(
      byId(async (before) => await store.runs.list(userId, id, ROWS, before)),
      runView
    )
  }
}

function audit({ store }: FastifyInstance, userId: number) {
  const pages = byId(async (before) =>
    (await store.audit.list({ userId }, ROWS, before)).map((row) => ({ ...row, id: row.seq }))
  )
  return mapped(pages, (row) =>
    auditView(isByAnother(row) ? { ...row, ip: null, actorName: null } : row)
  )
}

/** Where a key's machine stands, and who operates the service, is about them and not about the person. */
function isByAnother({ actor }: AuditRow): boolean {
  return actor === 'key' || actor === 'operator'
}

/** A field that is a list, written page by page, with what comes before it. */
async function* list(
  name: string,
  pages: AsyncIterable<readonly object[]>
): AsyncGenerator<string> {
  yield `,"${name}":[`
  let separator = ''
  for await (const page of pages) {
    if (page.length === 0) continue
    yield separator + JSON.stringify(page).slice(1, -1)
    separator = ','
  }
  yield ']'
}

async function* once<T extends object>(read: () => Promise<T[]>): AsyncGenerator<T[]> {
  yield await read()
}

/** Newest first, page by page. */
async function* byId<T extends { id: number }>(
  read: (before: number | undefined) => Promise<T[]>
): AsyncGenerator<T[]> {
  let before: number | undefined
  while (true) {
    const page = await read(before)
    yield page
    before = page.at(-1)?.id
    if (page.length < ROWS) return
  }
}

async function* mapped<T, U>(pages: AsyncIterable<T[]>, view: (row: T) => U): AsyncGenerator<U[]> {
  for await (const page of pages) yield page.map(view)
}
