import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import Driver from 'better-sqlite3'
import { openEngine } from '../../../src/store/open-engine.ts'
import {
  Browser,
  buildTestApp,
  OAUTH_CLIENTS,
  buildSandboxEnv,
  VAULT_KEY,
  waitForRun,
  PRODUCTS
} from '../../helper.ts'
import { queryPostgres } from '../../postgres/server.ts'
import { startSandbox, type RunningSandbox } from '../../sandbox/helper.ts'
import type { TestContext } from '../../types.ts'

/** Returns the URL of a new database; creates it if it is on a server. */
export type DatabaseFactory = (cwd: string, name: string) => Promise<string>
export const createSqliteDatabase: DatabaseFactory = async (cwd, name) =>
  `sqlite:///${join(cwd, `${name}.db`)}`
export const getSqlitePath = (url: string) => url.replace('sqlite:///', '')
export const isSqlite = (url: string) => url.startsWith('sqlite:')

/** Runs one statement on a database of either engine; placeholders are not supported. */
export async function executeSql(url: string, sql: string): Promise<Array<Record<string, any>>> {
  if (!isSqlite(url)) return await queryPostgres(url, sql)
  const db = new Driver(getSqlitePath(url))
  try {
    const statement = db.prepare(sql)
    if (statement.reader) return statement.all() as Array<Record<string, any>>
    statement.run()
    return []
  } finally {
    db.close()
  }
}

/**
 * The contents of a database, computed without the code of the copy: for each table the number
 * of rows and an order-independent combination of row hashes.
 */
export async function digestTables(url: string): Promise<Record<string, string>> {
  const names = isSqlite(url)
    ? await executeSql(
        url,
        "select name from sqlite_master where type = 'table' and name not like 'sqlite!_%' " +
          "escape '!' and name <> '__drizzle_migrations'"
      )
    : await executeSql(
        url,
        'select tablename as name from pg_tables where schemaname = current_schema()'
      )
  const digests: Record<string, string> = {}
  for (const { name } of names) {
    const combined = new Uint32Array(8)
    let count = 0
    for await (const row of iterateRows(url, name as string)) {
      count++
      // PostgreSQL's driver returns int8 as text.
      const hash = createHash('sha256')
        .update(
          JSON.stringify(
            Object.entries(row)
              .sort(([a], [b]) => (a < b ? -1 : 1))
              .map(([column, value]) => [column, value === null ? null : String(value)])
          )
        )
        .digest()
      for (let i = 0; i < 8; i++) combined[i] = (combined[i] ?? 0) ^ hash.readUInt32LE(4 * i)
    }
    digests[name as string] = `${count} ${[...combined].map((part) => part.toString(16)).join()}`
  }
  return digests
}

async function* iterateRows(url: string, name: string): AsyncGenerator<Record<string, any>> {
  if (!isSqlite(url)) {
    for (let offset = 0, batchSize = 1; batchSize > 0; offset += batchSize) {
      const rows = await queryPostgres(
        url,
        `select * from "${name}" order by ctid limit 100000 offset ${offset}`
      )
      batchSize = rows.length
      yield* rows
    }
    return
  }
  const db = new Driver(getSqlitePath(url), { readonly: true })
  yield* db.prepare(`select * from "${name}"`).iterate() as Iterable<Record<string, any>>
  db.close()
}

/** Hash of a database file and its WAL. */
export function hashFile(file: string): string {
  const wal = existsSync(`${file}-wal`) ? readFileSync(`${file}-wal`) : Buffer.alloc(0)
  return createHash('sha256').update(readFileSync(file)).update(wal).digest('hex')
}

/**
 * Fills a database with `count` pages of one user and some other rows; ids have gaps and texts
 * have all kinds of characters.
 */
export async function fillWithPages(url: string, count: number): Promise<void> {
  await (await openEngine(url)).close()
  await executeSql(
    url,
    "insert into users (id, email, email_key, created_at) values (3, 'a@example.com', " +
      "'a@example.com', 1700000000000)"
  )
  await executeSql(
    url,
    "insert into vault_keys (id, proof, uses, created_at) values ('b', 'x', 1, 2), ('B', " +
      "'x', 1, 2), ('é', 'x', 1, 2), ('_', 'x', 9007199254740991, -2)"
  )
  const text = "'Tïtle \"😀\" \\ of '''"
  const numbers = isSqlite(url)
    ? `with recursive n (i) as (select 1 union all select i + 1 from n where i < ${count})`
    : `with n (i) as (select generate_series(1, ${count}))`
  await executeSql(
    url,
    `${numbers} insert into pages (id, owner_id, site, remote_id, url, revision, ` +
      'updated_at, seq, pass, space_key, page_id, title, status, body) ' +
      "select i * 2, 3, 'site', 'r' || i, null, 1, 1700000000000 + i, i, 1, 'SP', i, " +
      `${text} || i, '', case when i % 100 = 0 then '<p>' || i || '</p>' end from n`
  )
  if (!isSqlite(url)) {
    await executeSql(url, `select setval('users_id_seq', 3), setval('pages_id_seq', ${2 * count})`)
  }
}

/** Makes a complete copy look interrupted. */
export async function markCopyInterrupted(from: string, to: string): Promise<void> {
  const { host, pathname } = new URL(from)
  const source = isSqlite(from) ? `sqlite ${getSqlitePath(from)}` : `postgres ${host}${pathname}`
  await executeSql(
    to,
    `create table copy_in_progress as select cast('${source}' as text) as source`
  )
}

export interface FilledDatabase {
  sandbox: RunningSandbox
  env: NodeJS.ProcessEnv
  before: Record<string, unknown>
  tokens: string[]
}

const READ_PATHS = [
  '/users',
  '/users/1/connections',
  '/users/1/connections/jira/history',
  '/users/1/changes',
  '/jira/projects/1',
  '/jira/issues/1',
  '/confluence/spaces/1',
  '/confluence/pages/1',
  '/integrations/jira/projects/fetch',
  '/integrations/confluence/pages/fetch',
  '/integrations/jira/sync/runs',
  '/integrations/confluence/sync/runs'
]

/**
 * Fills a database through a real service, with two logins and syncs; returns its responses too.
 */
export async function fillDatabase(t: TestContext, url: string): Promise<FilledDatabase> {
  const sandbox = await startSandbox(t, {
    clients: OAUTH_CLIENTS,
    sizes: { projects: 5, issues: 30, spaces: 3, pages: 30 },
    burst: 1_000_000,
    hourlyPoints: 1_000_000_000
  })
  const env = buildSandboxEnv(sandbox.url)
  const { app } = await buildTestApp(t, { ...env, INTEGRATION_DB_URL: url })
  const browser = new Browser(app)
  for (const [i, product] of PRODUCTS.entries()) {
    await browser.connect(product)
    await waitForRun(app, product, i + 1)
  }
  const before = await readResponses(async (path) => (await app.inject(path)).json())
  const ids = (await executeSql(url, 'select id from grants')).map(({ id }) => id as string)
  const tokens = await Promise.all(
    ids.map(async (id) => await app.tokenProvider.getAccessToken(id, { log: app.log }))
  )
  await app.close()
  return {
    sandbox,
    env: {
      ...env,
      APP_ENV: 'production',
      ALLOW_INSECURE: 'http_frontend,no_limits',
      HOST: '127.0.0.1',
      VAULT_KEYS: VAULT_KEY
    },
    before,
    tokens
  }
}

/** Responses of the main lists and of the connections. */
export async function readResponses(
  get: (path: string) => Promise<unknown>
): Promise<Record<string, unknown>> {
  const responses: Record<string, unknown> = {}
  for (const path of READ_PATHS) responses[path] = await get(path)
  return responses
}
