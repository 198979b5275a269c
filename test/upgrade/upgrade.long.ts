import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { ensureDatabase, queryDatabase, readAllTables } from '../database.ts'
import { buildTestApp, type TestApp } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { decryptTokens } from '../../src/grants/encrypt.ts'
import { createAuditSigner } from '../../src/grants/signing-keys.ts'
import { verifyAuditChain } from '../../src/store/audit-verify.ts'
import {
  FIXTURE_KEY,
  listFixtures,
  listMigrations,
  loadFixture,
  openFixtureVault,
  readMigrationHashes,
  TESTED_ENGINE,
  type Fixture
} from './fixture.ts'
import { HOUR_MS } from '../time.ts'

const REPOSITORY_ROOT = fileURLToPath(new URL('../../', import.meta.url))
const { keyring, vault } = openFixtureVault()

type Row = Record<string, unknown>
type Tables = Map<string, Row[]>

/** What a start is meant to change in rows of older versions: formats and signatures. */
const UPGRADED_COLUMNS: Record<string, string[]> = {
  grants: ['access_token', 'refresh_token', 'previous_refresh_token'],
  audit_head: ['seq', 'hash', 'signature'],
  connections: ['signature'],
  // The first start with heartbeats records which key encrypts.
  vault_keys: ['uses', 'proof', 'signing_key', 'promotion', 'promoted_by']
}
/** Rows that describe the moment and not what people did. */
const TRANSIENT_TABLES = ['instances', 'leases', 'rates', 'sqlite_sequence', '__drizzle_migrations']
const LISTS = [
  ['/jira/projects/1', 'projects'],
  ['/jira/issues/1', 'issues'],
  ['/confluence/spaces/1', 'spaces'],
  ['/confluence/pages/1', 'pages']
] as const

for (const fixture of listFixtures(TESTED_ENGINE)) {
  t.test(`A database of version ${fixture.version} starts with everything in it`, async (t) => {
    const folder = createTempFolder(t)
    const url = await ensureDatabase(t, join(folder, 'old.db'))
    await loadFixture(fixture, TESTED_ENGINE, url, folder)
    t.same(
      await readMigrationHashes(url),
      fixture.migrations,
      'the migrations of this version are as they were when the rows were written'
    )
    const before = await readSortedTables(url)

    const first = await startService(t, url, fixture)
    t.match((await first.app.inject('/healthz')).json(), { status: 'ok' })
    await checkAnswers(t, first, fixture, before)
    await first.app.close()
    const after = await readSortedTables(url)
    checkRows(t, before, after)
    t.same(decryptGrants(after), decryptGrants(before), 'the tokens are the same')

    const second = await startService(t, url, fixture)
    t.match((await second.app.inject('/healthz')).json(), { status: 'ok' })
    t.match(await verifyTrail(second), { problem: undefined }, 'the audit trail is intact')
    await second.app.close()
    t.same(await readSortedTables(url), after, 'a restart changes nothing')
    t.equal((await readMigrationHashes(url)).length, listMigrations(TESTED_ENGINE).length)
  })
}

t.test(
  'Indexes created beforehand, as upgrade.md says, are those that the migration creates',
  { skip: TESTED_ENGINE === 'postgres' ? false : 'SQLite creates no index concurrently' },
  async (t) => {
    const [createIndexes = '', findInvalid = ''] = readSqlBlocks('docs/operations/upgrade.md')
    const fixture = listFixtures(TESTED_ENGINE).find(
      ({ version }) => version === '0008_key_restrictions'
    ) as Fixture
    const definitions: unknown[] = []
    for (const statements of [createIndexes.split(/(?<=;)\n/), []]) {
      const folder = createTempFolder(t)
      const url = await ensureDatabase(t, join(folder, 'old.db'))
      await loadFixture(fixture, TESTED_ENGINE, url, folder)
      for (const statement of statements) await queryDatabase(url, statement)
      t.same(await queryDatabase(url, findInvalid), [])
      const { app } = await startService(t, url, fixture)
      t.match((await app.inject('/healthz')).json(), { status: 'ok' })
      await app.close()
      definitions.push(
        await queryDatabase(
          url,
          "select indexdef from pg_indexes where schemaname = 'public' order by indexname"
        )
      )
    }
    t.same(definitions[0], definitions[1])
  }
)

/** The fenced `sql` blocks of a document. */
function readSqlBlocks(path: string): string[] {
  const text = readFileSync(join(REPOSITORY_ROOT, path), 'utf8')
  return [...text.matchAll(/^```sql\n(.*?)\n```$/gms)].map(([, sql = '']) => sql)
}

/** Today's code with the settings of the fixture, an hour after its rows were written. */
async function startService(t: Test, url: string, { at }: Fixture): Promise<TestApp> {
  return await buildTestApp(
    t,
    {
      INTEGRATION_DB_URL: url,
      VAULT_KEYS: FIXTURE_KEY,
      SYNC_INTERVAL: '0',
      JIRA_OAUTH_CLIENT_ID: 'sandbox-client',
      JIRA_OAUTH_CLIENT_SECRET: 'sandbox-secret',
      JIRA_OAUTH_REDIRECT_URI: 'http://localhost:3001/auth/jira/callback',
      CONFLUENCE_OAUTH_REDIRECT_URI: 'http://localhost:3001/auth/confluence/callback'
    },
    () => at + HOUR_MS
  )
}

async function checkAnswers(t: Test, { app }: TestApp, { feed }: Fixture, before: Tables) {
  t.same(
    (await app.inject('/users')).json().map(({ email }: { email: string }) => email),
    ['ada@example.com', 'bob@example.com']
  )
  for (const [path, table] of LISTS) {
    const rows = (before.get(table) ?? []).filter(
      (row) => Number(row.owner_id) === 1 && (row.deleted_at ?? null) === null
    )
    t.equal((await app.inject(path)).json().length, rows.length, path)
  }
  for (const { user_id: user, provider, state } of before.get('connections') ?? []) {
    const response = await app.inject(`/users/${user}/connections`)
    const { connections } = response.json() as { connections: Record<string, unknown>[] }
    const found = connections.find(({ product }) => product === provider)
    t.equal(found?.state, state ?? 'active', `the connection of user ${user} to ${provider}`)
  }
  if (feed === null) return
  const changes = await app.inject(
    `/users/1/changes?limit=500&since=${encodeURIComponent(feed.cursor)}`
  )
  t.equal(changes.statusCode, 200, 'a reader of the change feed goes on at its cursor')
  t.equal(changes.json().changes.length, feed.left)
}

/** Each table in the order of its first column, which is its key. */
async function readSortedTables(url: string): Promise<Tables> {
  const tables = await readAllTables(url)
  const getKey = (row: Row) => Object.values(row)[0] as string | number
  // Readiness checks write this row.
  const state = tables.get('service_state')?.filter(({ name }) => name !== 'write_probe')
  if (state !== undefined) tables.set('service_state', state)
  for (const rows of tables.values()) rows.sort((a, b) => (getKey(a) < getKey(b) ? -1 : 1))
  return new Map([...tables].filter(([name]) => !TRANSIENT_TABLES.includes(name)))
}

/** Every row is there with its values, and only the audit trail may have more. */
function checkRows(t: Test, before: Tables, after: Tables): void {
  for (const [table, rows] of before) {
    const now = after.get(table) ?? []
    if (table !== 'audit') t.equal(now.length, rows.length, table)
    const columns = Object.keys(rows[0] ?? {}).filter(
      (name) => UPGRADED_COLUMNS[table]?.includes(name) !== true
    )
    const select = (row: Row | undefined) => columns.map((name) => [name, row?.[name]])
    t.same(now.slice(0, rows.length).map(select), rows.map(select), table)
  }
}

async function verifyTrail({ app }: TestApp): Promise<object> {
  const { audit, vaultKeys } = app.store
  return await verifyAuditChain(audit, await createAuditSigner(vaultKeys, keyring, vault))
}

function decryptGrants(tables: Tables): unknown[] {
  return (tables.get('grants') ?? []).map((row) =>
    decryptTokens(vault, {
      id: String(row.id),
      keyId: vault.keyId,
      accessToken: String(row.access_token),
      refreshToken: row.refresh_token as string | null,
      previousRefreshToken: (row.previous_refresh_token ?? null) as string | null
    })
  )
}
