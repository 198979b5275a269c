import t, { type Test } from 'tap'
import { createRandom, chooseSeed } from '../fixtures/prng.ts'
import { pickByScale } from '../auth/helper.ts'
import { copyDatabase, ensureDatabase, isPostgres, queryDatabase } from '../database.ts'
import {
  Browser,
  buildTestApp,
  OAUTH_CLIENTS,
  buildSandboxEnv,
  VAULT_KEY,
  waitFor
} from '../helper.ts'
import { createTempFolder, startServiceProcess, type ServiceProcess } from '../process/child.ts'
import { startSandbox } from '../sandbox/helper.ts'

const PAGE_COUNT = pickByScale(1_000, 20_000)
const KILL_COUNT = pickByScale(2, 100)
const PAGE_LIST_PATH = '/wiki/api/v2/pages'

interface RunRow {
  state: string
  seen: number
  error_code: string | null
}

t.test(
  `D9 Killed at ${KILL_COUNT} random moments, a sync of ${PAGE_COUNT} pages fetches no page more than twice`,
  async (t) => {
    const chosen = chooseSeed()
    t.comment(`SEED=${chosen}`)
    const random = createRandom(chosen)
    const fixture = await createCrashFixture(t)
    const [undisturbed, tookMs] = await fixture.runUndisturbed()
    for (let kill = 1; kill <= KILL_COUNT; kill++) {
      const url = await fixture.createCopy()
      await fixture.sandbox.admin('faults', undefined, 'DELETE')
      const before = fixture.countFetches()
      const victim = await fixture.startService(url)
      await new Promise((resolve) => setTimeout(resolve, random() * tookMs))
      await victim.stop('SIGKILL')
      const { seen } = await fixture.run(url)
      await fixture.expireLease(url)
      const successor = await fixture.startService(url)
      const readRun = await fixture.waitForRunEnd(url)
      await successor.stop('SIGKILL')
      t.match(
        readRun,
        { state: 'succeeded', error_code: null },
        `kill ${kill}, after ${seen} items`
      )
      t.same(await fixture.readTables(url), undisturbed, 'the same table')
      t.ok(
        Math.max(...fixture.countFetches(before).values()) <= 2,
        'no page was fetched more than twice'
      )
    }
  }
)

/** A database with a queued first sync, and helpers for copies of it. */
async function createCrashFixture(t: Test) {
  const cwd = createTempFolder(t)
  const sandbox = await startSandbox(t, {
    clients: OAUTH_CLIENTS,
    sizes: { projects: 1, issues: 1, spaces: 5, pages: PAGE_COUNT },
    burst: 1_000_000_000,
    hourlyPoints: 1_000_000_000,
    maxLogEntries: 1_000_000
  })
  const env = { ...buildSandboxEnv(sandbox.url), ATLASSIAN_HOURLY_POINTS: '100000000' }
  const original = await ensureDatabase(t, `${cwd}/original.db`)
  // Delays the first run so that each copy of the database starts it.
  await sandbox.admin('faults', {
    kind: 'status',
    status: 429,
    headers: { 'retry-after': '3600' },
    match: { path: '/wiki/api/v2/spaces' }
  })
  const { app } = await buildTestApp(t, { ...env, INTEGRATION_DB_URL: original })
  await new Browser(app).connect('confluence')
  await waitFor(async () => (await app.store.runs.get(1, 'confluence'))?.state === 'parked')
  await app.close()
  let copies = 0

  const run = async (url: string) =>
    (
      await queryDatabase<RunRow>(url, 'select state, seen, error_code from runs where id = 1')
    )[0] as RunRow

  const fixture = {
    sandbox,
    run,
    async createCopy(): Promise<string> {
      const url = await copyDatabase(t, original, `${cwd}/copy-${++copies}.db`)
      await queryDatabase(url, 'update runs set parked_until = 0')
      await queryDatabase(url, 'delete from budgets')
      return url
    },
    /** Expires the lease of a dead process, which still holds the run. */
    expireLease: async (url: string) =>
      await queryDatabase(url, 'update runs set lease_until = 0 where lease_until is not null'),
    startService: async (url: string): Promise<ServiceProcess> =>
      await startServiceProcess(t, {
        cwd,
        env: {
          ...env,
          APP_ENV: 'production',
          HOST: '127.0.0.1',
          VAULT_KEYS: VAULT_KEY,
          SYNC_INTERVAL: '0',
          INTEGRATION_DB_URL: url
        }
      }),
    async waitForRunEnd(url: string): Promise<RunRow> {
      await waitFor(async () => !['queued', 'running', 'parked'].includes((await run(url)).state))
      return await run(url)
    },
    /**
     * All copied rows without write times, and without row ids on PostgreSQL, which does not
     * reuse ids of transactions that rolled back.
     */
    readTables: async (url: string) =>
      await Promise.all(
        ['spaces', 'pages'].map(async (name) =>
          (await queryDatabase(url, `select * from ${name} order by remote_id`)).map((row) => ({
            ...row,
            updated_at: null,
            ...(isPostgres ? { id: null } : {})
          }))
        )
      ),
    /** Fetches of each page of the listing since `since`, by cursor. */
    countFetches(since = new Map<string, number>()): Map<string, number> {
      const counts = new Map<string, number>()
      for (const { path, cursor = '' } of sandbox.state.stats.snapshot().log) {
        if (path === PAGE_LIST_PATH) counts.set(cursor, (counts.get(cursor) ?? 0) + 1)
      }
      for (const [cursor, count] of since) counts.set(cursor, (counts.get(cursor) ?? 0) - count)
      return counts
    },
    /** A sync without interruption. @returns the rows, and the duration of the sync */
    async runUndisturbed(): Promise<[table: unknown, ms: number]> {
      const url = await fixture.createCopy()
      await sandbox.admin('faults', undefined, 'DELETE')
      const service = await fixture.startService(url)
      const from = performance.now()
      const { state, seen } = await fixture.waitForRunEnd(url)
      const ms = performance.now() - from
      t.match({ state, seen }, { state: 'succeeded', seen: PAGE_COUNT + 5 })
      await service.stop()
      return [await fixture.readTables(url), ms]
    }
  }
  return fixture
}
