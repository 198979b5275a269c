import { copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { MIGRATION_LOCK_ID } from '../../src/store/postgres/migrate.ts'
import { generateKeyEntry } from '../../src/vault/keyring.ts'
import { VAULT_KEY, waitFor } from '../helper.ts'
import { createTempFolder, startServiceProcess, type ServiceProcess } from '../process/child.ts'
import { runCommand, type CommandOutput } from '../process/command.ts'
import type { TestContext } from '../types.ts'
import {
  connect,
  createClusterFixture,
  getJson,
  postJson,
  startDatabaseServer,
  type ClusterFixture
} from './helper.ts'

const SMALL_SANDBOX = { sizes: { projects: 3, issues: 20, spaces: 3, pages: 40 } }
const CHECK = '/users/1/connections/jira/check'
const server = await startDatabaseServer(t)

interface KeyFixture extends ClusterFixture {
  files: { a: string; b: string }
  start: (name: 'a' | 'b') => Promise<ServiceProcess>
  /** Runs `connector keys ARGS` with the key file of instance A. */
  keys: (...args: string[]) => Promise<CommandOutput>
  /** Expires the access token, and checks the connection until new tokens are written. */
  refresh: (through: ServiceProcess) => Promise<void>
  readKeyIds: () => Promise<string[]>
  /** Everything that a damaged connection would change. */
  readConnections: () => Promise<unknown>
}

/** A connection, and a key file for each of two instances. */
async function createKeyFixture(t: TestContext): Promise<KeyFixture> {
  const fixture = await createClusterFixture(t, server, { sandbox: SMALL_SANDBOX })
  await connect(t, fixture, 'jira')
  const folder = createTempFolder(t)
  const files = { a: join(folder, 'a.keys'), b: join(folder, 'b.keys') }
  for (const file of Object.values(files)) writeFileSync(file, `${VAULT_KEY}\n`, { mode: 0o600 })
  const { query } = fixture
  return {
    ...fixture,
    files,
    start: async (name) =>
      await fixture.startService({ VAULT_KEYS: undefined, VAULT_KEYS_FILE: files[name] }),
    keys: async (...args) =>
      await runCommand(['keys', ...args], {
        env: { INTEGRATION_DB_URL: fixture.url, VAULT_KEYS_FILE: files.a }
      }),
    refresh: async ({ url }) => {
      const readVersion = async () => (await query('select version from grants'))[0].version
      const before = await readVersion()
      await fixture.sandbox.admin('clock', { advance_ms: 2 * 3_600_000 })
      await query('update grants set access_expires_at = $1', [Date.now() - 1])
      await waitFor(async () => {
        if ((await postJson(url, CHECK)).status !== 200) throw new Error('The check failed')
        return (await readVersion()) > before
      })
    },
    readKeyIds: async () => (await query('select key_id from grants')).map((row) => row.key_id),
    readConnections: async () => [
      await query('select id, state, error_code, sites, bound from connections order by id'),
      await query('select id, state, error_code, failures, consented_at from grants order by id'),
      await query('select * from history order by id'),
      await query("select count(*)::int from audit where action like 'audit_%'")
    ]
  }
}

/** Checks the connection through each instance, until it is stopped. */
function startLoad(
  services: ServiceProcess[]
): () => Promise<{ calls: number; failures: string[] }> {
  const failures: string[] = []
  const stopping = new AbortController()
  let calls = 0
  const loops = services.map(async ({ url }) => {
    while (!stopping.signal.aborted) {
      const answer = await postJson(url, CHECK).catch((error: unknown) => ({
        status: 0,
        body: String(error)
      }))
      calls++
      if (answer.status !== 200) failures.push(`${answer.status} ${JSON.stringify(answer.body)}`)
    }
  })
  return async () => {
    stopping.abort()
    await Promise.all(loops)
    return { calls, failures }
  }
}

async function reload(service: ServiceProcess, event = 'vault_keys_reloaded'): Promise<void> {
  const count = () => service.output().split(`"event":"${event}"`).length
  const before = count()
  service.child.kill('SIGHUP')
  await waitFor(() => Promise.resolve(count() > before))
}

const readHealth = async ({ url }: ServiceProcess) => await getJson(url, '/healthz')

t.test('The documented rotation on two instances under load fails no request', async (t) => {
  const fixture = await createKeyFixture(t)
  const { files, keys, query } = fixture
  const services = [await fixture.start('a'), await fixture.start('b')] as const
  const before = await fixture.readConnections()
  const stop = startLoad([...services])

  const added = await keys('add', '--id', 'k2')
  t.match(added, { code: 0, stdout: /Added the key k2 to .*\nNext: .*`connector keys promote k2`/ })
  t.equal(statSync(files.a).mode & 0o777, 0o600)
  t.match(readFileSync(files.a, 'utf8'), /^test:.*\nk2:.*\n$/)
  copyFileSync(files.a, files.b)
  for (const service of services) await reload(service)
  const listed = await keys('list')
  t.match(listed, { code: 0, stdout: /^test: encrypts and decrypts.*\nk2: decrypts/ })
  t.notMatch(listed.stdout, /lacked by/)

  t.match(await keys('promote', 'k2'), { code: 0, stdout: /^k2 encrypts .*\nNext: .*rotate/ })
  for (const service of services) {
    await waitFor(() => Promise.resolve(service.output().includes('"event":"vault_key_current"')))
  }
  await fixture.refresh(services[0])
  t.same(await fixture.readKeyIds(), ['k2'])

  t.match(await keys('rotate'), { code: 0, stdout: / 0 left\.\nNext: .*keys remove test/ })
  t.match(await keys('remove', 'test'), { code: 0, stdout: /^Removed the key test .*\nNext: / })
  t.match(readFileSync(files.a, 'utf8'), /^k2:[^\n]*\n$/)
  copyFileSync(files.a, files.b)
  for (const service of services) await reload(service)
  t.match(await postJson(services[1].url, CHECK), { status: 200 })

  // A bad file changes nothing.
  writeFileSync(files.b, 'nonsense\n')
  await reload(services[1], 'vault_keys_refused')
  writeFileSync(files.b, `${generateKeyEntry('k9')}\n`)
  await reload(services[1], 'vault_keys_refused')
  t.match(await readHealth(services[1]), { status: 200 })
  t.same(await query("select id from vault_keys where id = 'k9'"), [], 'nor is its key registered')

  const { calls, failures } = await stop()
  t.same(failures, [], `${calls} calls, none failed`)
  t.ok(calls > 20, `${calls} calls`)
  t.same(await fixture.readConnections(), before, 'no connection changed')
  for (const service of services) t.match(await readHealth(service), { status: 200 })
  t.same(await query("select id from connections where signature not like 'k2.%'"), [])
  for (const service of services) t.equal(await service.stop(), 0)
  t.same(await query('select id from instances'), [], 'a clean stop removes the row')
})

t.test('With one instance behind at every step, the others wait and nothing changes', async (t) => {
  const fixture = await createKeyFixture(t)
  const { files, keys, query } = fixture
  let a = await fixture.start('a')
  let b = await fixture.start('b')
  const before = await fixture.readConnections()
  const [{ id: idOfB }] = (await query('select id from instances where pid = $1', [b.pid])) as [
    { id: string }
  ]
  const lacks = new RegExp(`${idOfB} .*lacks the key "k2"`)
  const assertRefused = async (...args: string[]) => {
    t.match(await keys(...args), { code: 1, stdout: '', stderr: lacks }, args.join(' '))
  }
  const assertUnchanged = async (step: string) => {
    t.same(await fixture.readConnections(), before, `${step}: no connection changed`)
  }

  t.match(await keys('add', '--id', 'k2'), { code: 0 })
  await reload(a)
  t.match((await keys('list')).stdout, new RegExp(`^k2: .*lacked by ${idOfB}$`, 'm'))
  await assertRefused('promote', 'k2')
  t.match(await readHealth(b), { status: 200 }, 'it lacks nothing that is in use')
  await assertUnchanged('promote')

  // What the manual said before: the new key in front, restart, rotate.
  const entries = readFileSync(files.a, 'utf8').trim().split('\n')
  writeFileSync(files.a, `${entries.toReversed().join('\n')}\n`)
  t.equal(await a.stop(), 0)
  a = await fixture.start('a')
  t.match(a.output(), /"event":"vault_key_promotion_deferred".*"instances":\["/)
  await assertRefused('rotate')
  await fixture.refresh(a)
  t.same(await fixture.readKeyIds(), ['test'], 'the old key still encrypts')
  t.match(await postJson(b.url, CHECK), { status: 200 }, 'so the other instance can read it')
  await assertUnchanged('the former order')

  // While B is away nobody lacks the key.
  t.equal(await b.stop(), 0)
  await waitFor(() => Promise.resolve(a.output().includes('"event":"vault_key_current"')))
  await fixture.refresh(a)
  t.same(await fixture.readKeyIds(), ['k2'])
  b = await fixture.start('b')
  const missing = { status: 503, body: { code: 'vault_key_missing', detail: /"k2"/ } }
  t.match(await readHealth(b), { status: 503, body: { checks: { vault_key: 'missing k2' } } })
  const stored = await query('select * from grants')
  const audited = await query('select max(seq) from audit')
  for (let i = 0; i < 3; i++) t.match(await postJson(b.url, CHECK), missing)
  t.match(await postJson(b.url, '/users', { email: 'new@example.com' }), missing, 'signs nothing')
  t.same(await query('select * from grants'), stored, 'nothing was written')
  t.same(await query('select max(seq) from audit'), audited)
  t.equal((await keys('rotate')).code, 1)
  t.match(await keys('remove', 'test'), { code: 1, stderr: /still encrypts|still/ })
  const { body: run } = await postJson(b.url, '/integrations/jira/sync?owner_id=1')
  const readRun = async () => (await getJson(a.url, `/integrations/jira/sync/runs/${run.id}`)).body
  await waitFor(async () => ['succeeded', 'failed'].includes((await readRun()).state))
  t.match(await readRun(), { state: 'succeeded' }, 'the other instance runs the sync')
  await assertUnchanged('an instance that starts behind')

  copyFileSync(files.a, files.b)
  await reload(b)
  t.match(await readHealth(b), { status: 200, body: { checks: { vault_key: 'ok' } } })
  t.match(await postJson(b.url, CHECK), { status: 200 })
  t.match(await keys('rotate'), { code: 0 })
  t.match(await keys('remove', 'test'), { code: 0 })
  t.match(await postJson(b.url, CHECK), { status: 200 }, 'still with the old key, too')
  await assertUnchanged('the end')
})

t.test('A process with VAULT_KEYS says that a hangup cannot reload it', async (t) => {
  const service = await (await createClusterFixture(t, server)).startService()
  await reload(service, 'vault_keys_not_reloaded')
  t.match(await readHealth(service), { status: 200 })
})

t.test('A hangup during the start, while migrations run, reloads the keys after it', async (t) => {
  const url = await server.createDatabase()
  const file = join(createTempFolder(t), 'a.keys')
  writeFileSync(file, `${VAULT_KEY}\n`, { mode: 0o600 })
  const migrating = new pg.Client(url)
  await migrating.connect()
  t.teardown(() => migrating.end())
  await migrating.query('select pg_advisory_lock($1)', [MIGRATION_LOCK_ID])
  const { child, output } = await startServiceProcess(t, {
    env: { INTEGRATION_DB_URL: url, VAULT_KEYS_FILE: file },
    ready: /"event":"(mode_defaulted)"/
  })
  await waitFor(
    async () =>
      (await server.query("select 1 from pg_locks where locktype = 'advisory' and not granted"))
        .length > 0
  )
  child.kill('SIGHUP')
  child.kill('SIGHUP')
  // Time for the signal to end the process, if nothing takes it.
  await sleep(500)
  await migrating.query('select pg_advisory_unlock($1)', [MIGRATION_LOCK_ID])
  await waitFor(() => {
    if (child.signalCode !== null) throw new Error(`Ended by ${child.signalCode}`)
    return /"event":"service_started"/.test(output()) && /"vault_keys_reloaded"/.test(output())
  })
  t.equal(output().match(/"event":"vault_keys_reloaded"/g)?.length, 1, 'once for any number')
})
