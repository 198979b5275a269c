import t from 'tap'
import { ensureDatabase, isPostgres, queryDatabase } from '../database.ts'
import { buildTestApp, waitFor } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import type { TestContext } from '../types.ts'

const READY_PATHS = ['/healthz', '/readyz', '/api/readyz']

/** A service on a database that a test can reach too. */
async function startOnDatabase(t: TestContext) {
  const folder = createTempFolder(t)
  const url = await ensureDatabase(t, `${folder}/integration.db`)
  return { ...(await buildTestApp(t, { INTEGRATION_DB_URL: url })), url }
}

t.test('E4 /livez needs no database, key or known host name', async (t) => {
  const { app } = await buildTestApp(t)
  const fail = async () => {
    throw new Error('planted reason')
  }
  Object.assign(app.store, { isMigrated: fail, readTables: fail })
  for (const url of ['/livez', '/api/livez', '/livez?x=1']) {
    const answer = await app.inject({ url, headers: { host: 'unknown.example' } })
    t.equal(answer.statusCode, 200)
    t.same(answer.json(), { status: 'ok' })
  }
  t.equal((await app.inject('/readyz')).statusCode, 503)
})

t.test('E4 /readyz and /healthz say the same, and why they are not ready', async (t) => {
  const { app } = await buildTestApp(t)
  for (const url of READY_PATHS) {
    t.match(await app.inject({ url, headers: { host: 'unknown.example' } }), { statusCode: 200 })
  }
  app.store.isMigrated = async () => false
  for (const url of READY_PATHS) {
    const answer = await app.inject(url)
    t.equal(answer.statusCode, 503)
    t.same(answer.json(), {
      status: 'unavailable',
      checks: { database: 'ok', migrations: 'failed', vault_key: 'ok', accepting: 'ok' },
      reasons: { migrations: 'not_applied' }
    })
  }
  app.store.isMigrated = async () => await new Promise<never>(() => {})
  t.match((await app.inject('/readyz')).json(), {
    checks: { database: 'failed', migrations: 'failed' },
    reasons: { database: 'timeout', migrations: 'unknown' }
  })
})

t.test('E4 Readiness writes to the database, once for many checks', async (t) => {
  const { app, url } = await startOnDatabase(t)
  const readProbe = async () =>
    (await queryDatabase(url, "select value from service_state where name = 'write_probe'"))[0]
      ?.value as number | undefined
  t.equal(await readProbe(), undefined, 'none before the first check')
  const startedAt = Date.now()
  const answers = await Promise.all(
    Array.from({ length: 40 }, async (_, i) => await app.inject(READY_PATHS[i % 3] ?? ''))
  )
  t.same([...new Set(answers.map(({ statusCode }) => statusCode))], [200])
  const first = await readProbe()
  t.ok(Math.abs((first ?? 0) - startedAt) < 60_000, 'the time on the clock of the database')
  for (let i = 0; i < 5; i++) await app.inject('/readyz')
  // On a machine that is too slow for this test the next probe may be due.
  t.ok((await readProbe()) === first || Date.now() - startedAt > 4_000, 'the same probe')
})

t.test('E4 A database that lost a table is not ready', async (t) => {
  const { app, url } = await startOnDatabase(t)
  await queryDatabase(url, 'alter table audit rename to elsewhere')
  const answer = await app.inject('/readyz')
  t.equal(answer.statusCode, 503)
  t.match(answer.json(), {
    checks: { database: 'failed', migrations: 'ok' },
    reasons: { database: 'missing_table' }
  })
  t.notMatch(answer.body, /audit|elsewhere/)
  await queryDatabase(url, 'alter table elsewhere rename to audit')
  await waitFor(async () => (await app.inject('/readyz')).statusCode === 200)
})

t.test(
  'E4 A read-only PostgreSQL server is not ready, and ready again when it can be written',
  { skip: !isPostgres && 'PostgreSQL only' },
  async (t) => {
    const { app, url } = await startOnDatabase(t)
    const setReadOnly = async (value: 'on' | 'off') => {
      const name = new URL(url).pathname.slice(1)
      const admin = url.replace(/[^/]*$/, 'postgres')
      await queryDatabase(
        admin,
        `alter database ${name} set default_transaction_read_only = ${value}`
      )
      await queryDatabase(
        admin,
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = ?',
        name
      )
    }
    await setReadOnly('on')
    await waitFor(async () => {
      const { statusCode, body } = await app.inject('/readyz')
      return statusCode === 503 && body.includes('"database":"read_only"')
    })
    await setReadOnly('off')
    await waitFor(async () => (await app.inject('/readyz')).statusCode === 200)
  }
)

t.test(
  'E4 A PostgreSQL user that lost a right is not ready',
  { skip: !isPostgres && 'PostgreSQL only' },
  async (t) => {
    const url = await ensureDatabase(t, `${createTempFolder(t)}/integration.db`)
    const name = new URL(url).pathname.slice(1)
    const role = `limited_${name}`
    await queryDatabase(url, `create role ${role} login`)
    await queryDatabase(url, `grant all on database ${name} to ${role}`)
    await queryDatabase(url, `grant all on schema public to ${role}`)
    t.teardown(async () => {
      await queryDatabase(url, `reassign owned by ${role} to postgres`)
      await queryDatabase(url, `drop owned by ${role}`)
      await queryDatabase(url, `drop role ${role}`)
    })
    const { app } = await buildTestApp(t, {
      INTEGRATION_DB_URL: url.replace('postgres@', `${role}@`)
    })
    for (const [right, table] of [
      ['update', 'service_state'],
      ['select', 'grants']
    ] as const) {
      await waitFor(async () => (await app.inject('/readyz')).statusCode === 200)
      await queryDatabase(url, `revoke ${right} on ${table} from ${role}`)
      await waitFor(async () => (await app.inject('/readyz')).statusCode === 503)
      t.match((await app.inject('/readyz')).json(), { reasons: { database: 'permission_denied' } })
      await queryDatabase(url, `grant ${right} on ${table} to ${role}`)
    }
    await app.close()
  }
)
