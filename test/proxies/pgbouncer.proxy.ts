import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { VAULT_KEY } from '../helper.ts'
import { getJson, postJson } from '../multi-instance/helper.ts'
import { openEngine } from '../../src/store/open-engine.ts'
import { queryPostgres, startPostgresServer } from '../postgres/server.ts'
import { startServiceProcess } from '../process/child.ts'
import { runCommand } from '../process/command.ts'
import { findNewerProgram, findProgram } from './programs.ts'
import { startPgBouncer } from './pgbouncer.ts'

const server = await startPostgresServer()
t.teardown(() => server.remove())

const VERSIONS = [
  ['1.18', findProgram('pgbouncer')],
  ['1.24', findNewerProgram('pgbouncer')]
] as const
const SERVICE_ENV = { APP_ENV: 'test', VAULT_KEYS: VAULT_KEY, DB_STATEMENT_TIMEOUT_MS: '7000' }
const REFUSAL = /set pool_mode=session for this database in pgbouncer\.ini/

for (const [version, program] of VERSIONS) {
  const skip = program === undefined && 'it could not be downloaded'
  t.test(
    `PgBouncer ${version} in session mode: two instances migrate, write and read, with their time limits`,
    { skip },
    async (t) => {
      if (program === undefined) return
      const url = await server.createDatabase()
      const through = await startPgBouncer(t, program, server, [
        'pool_mode = session',
        'default_pool_size = 40'
      ])
      const services = await Promise.all(
        [1, 2].map(
          async () =>
            await startServiceProcess(t, {
              env: { ...SERVICE_ENV, INTEGRATION_DB_URL: through(url) }
            })
        )
      )
      const created = await Promise.all(
        Array.from({ length: 60 }, async (_, i) => {
          const service = services[i % 2]?.url ?? ''
          const { status } = await postJson(service, '/users', { email: `p${i % 30}@b.co` })
          return status
        })
      )
      t.same(created.filter((status) => status === 201).length, 30, 'each user is created once')
      t.same(created.filter((status) => status === 200).length, 30)
      for (const service of services) {
        t.equal((await getJson(service.url, '/users')).body.length, 30)
        t.equal((await getJson(service.url, '/healthz')).status, 200)
      }
      // A lock that outlasts the statement time-out ends the request, so the setting has arrived.
      const holding = queryPostgres(
        url,
        'begin; lock table users in access exclusive mode; select pg_sleep(60)'
      )
      holding.catch(() => {})
      await sleep(500)
      const locked = await getJson(services[0]?.url ?? '', '/users')
      t.equal(locked.status, 503, 'the statement ended by its time limit')
      await server.query(
        'select pg_terminate_backend(pid) from pg_stat_activity ' +
          "where query like '%pg_sleep(60)%' and pid <> pg_backend_pid()"
      )
      for (const service of services) t.equal(await service.stop(), 0)
    }
  )

  for (const settings of [
    ['pool_mode = transaction'],
    ['pool_mode = transaction', 'default_pool_size = 1'],
    ['pool_mode = transaction', 'server_round_robin = 1', 'min_pool_size = 5'],
    ['pool_mode = statement'],
    ...(version === '1.18' ? [] : [['pool_mode = transaction', 'max_prepared_statements = 200']])
  ]) {
    t.test(
      `PgBouncer ${version}, ${settings.join(', ')}: the start is refused, and nothing is written`,
      { skip },
      async (t) => {
        if (program === undefined) return
        const url = await server.createDatabase()
        const through = await startPgBouncer(t, program, server, settings)
        for (const attempt of [1, 2, 3]) {
          await t.rejects(openEngine(through(url)), REFUSAL, `attempt ${attempt}`)
        }
        t.same(await listTables(url), [])
      }
    )
  }
}

for (const [poolSize, programs] of [
  [8, 12],
  [4, 1]
] as const) {
  const title = `Transaction mode is refused: ${poolSize} sessions, in use by ${programs} programs`
  t.test(title, async (t) => {
    const url = await server.createDatabase()
    const through = await startPgBouncer(t, findProgram('pgbouncer'), server, [
      'pool_mode = transaction',
      `default_pool_size = ${poolSize}`
    ])
    const state = { isOver: false }
    const others = Array.from({ length: programs }, async () => {
      const client = new pg.Client({ connectionString: through(url) })
      await client.connect()
      while (!state.isOver) {
        for (const text of ['begin', 'select 1', 'commit']) await client.query(text)
      }
      await client.end()
    })
    for (let i = 0; i < 100; i++) await t.rejects(openEngine(through(url)), REFUSAL)
    state.isOver = true
    await Promise.all(others)
    t.same(await listTables(url), [])
  })
}

t.test('The service and its commands say what to change in PgBouncer', async (t) => {
  const url = await server.createDatabase()
  const through = await startPgBouncer(t, findProgram('pgbouncer'), server, [
    'pool_mode = transaction'
  ])
  for (const args of [[], ['db', 'migrate'], ['keys', 'list']]) {
    const { code, stdout, stderr } = await runCommand(args, {
      env: { ...SERVICE_ENV, INTEGRATION_DB_URL: through(url) }
    })
    t.equal(code, 1, `connector ${args.join(' ')}`)
    t.match(stdout + stderr, REFUSAL)
  }
  t.same(await listTables(url), [])
})

async function listTables(url: string): Promise<object[]> {
  return await queryPostgres(url, "select tablename from pg_tables where schemaname = 'public'")
}
