import t, { type Test } from 'tap'
import { chance, seed } from '../fixtures/prng.ts'
import { many } from '../auth/helper.ts'
import { copyOf, databaseAt, onPostgres, rowsOf } from '../database.ts'
import { Browser, build, CLIENTS, configured, KEY, until as soon } from '../helper.ts'
import { folder, start, type Started } from '../process/child.ts'
import { startSandbox } from '../sandbox/helper.ts'

const PAGES = many(1_000, 20_000)
const KILLS = many(2, 100)
const LONGEST_MS = 60_000
const PAGE_LIST = '/wiki/api/v2/pages'

interface Run {
  state: string
  seen: number
  error_code: string | null
}

t.test(
  `D9 A copy of ${PAGES} pages that is killed at ${KILLS} random moments ends with the same table, and no page is fetched more than twice`,
  async (t) => {
    const chosen = seed()
    t.comment(`SEED=${chosen}`)
    const random = chance(chosen)
    const here = await place(t)
    const [undisturbed, tookMs] = await here.copied()
    for (let kill = 1; kill <= KILLS; kill++) {
      const url = await here.fresh()
      await here.sandbox.admin('faults', undefined, 'DELETE')
      const before = here.fetched()
      const victim = await here.serve(url)
      await new Promise((resolve) => setTimeout(resolve, random() * tookMs))
      await victim.stop('SIGKILL')
      const { seen } = await here.run(url)
      await here.overdue(url)
      const successor = await here.serve(url)
      const run = await here.ended(url)
      await successor.stop('SIGKILL')
      t.match(run, { state: 'succeeded', error_code: null }, `kill ${kill}, after ${seen} items`)
      t.same(await here.table(url), undisturbed, 'the same table')
      t.ok(Math.max(...here.fetched(before).values()) <= 2, 'no page was fetched more than twice')
    }
  }
)

/** A database whose first copy is waiting to be begun, and what the tests do with copies of it. */
async function place(t: Test) {
  const cwd = folder(t)
  const sandbox = await startSandbox(t, {
    clients: CLIENTS,
    sizes: { projects: 1, issues: 1, spaces: 5, pages: PAGES },
    burst: 1_000_000_000,
    hourlyPoints: 1_000_000_000,
    logKept: 1_000_000
  })
  const env = { ...configured(sandbox.url), ATLASSIAN_HOURLY_POINTS: '100000000' }
  const original = await databaseAt(t, `${cwd}/original.db`)
  // The first run is put off, so that each copy of the database begins it anew.
  await sandbox.admin('faults', {
    kind: 'status',
    status: 429,
    headers: { 'retry-after': '3600' },
    match: { path: '/wiki/api/v2/spaces' }
  })
  const { app } = await build(t, { ...env, INTEGRATION_DB_URL: original })
  await new Browser(app).connect('confluence')
  await until(async () => (await app.store.runs.get(1, 'confluence'))?.state === 'parked')
  await app.close()
  let copies = 0

  const run = async (url: string) =>
    (await rowsOf<Run>(url, 'select state, seen, error_code from runs where id = 1'))[0] as Run

  const here = {
    sandbox,
    run,
    async fresh(): Promise<string> {
      const url = await copyOf(t, original, `${cwd}/copy-${++copies}.db`)
      await rowsOf(url, 'update runs set parked_until = 0')
      await rowsOf(url, 'delete from budgets')
      return url
    },
    /** What kept the run was the life of a process that is no more. */
    overdue: async (url: string) =>
      await rowsOf(url, 'update runs set lease_until = 0 where lease_until is not null'),
    serve: async (url: string): Promise<Started> =>
      await start(t, {
        cwd,
        env: {
          ...env,
          APP_ENV: 'production',
          HOST: '127.0.0.1',
          VAULT_KEYS: KEY,
          SYNC_INTERVAL: '0',
          INTEGRATION_DB_URL: url
        }
      }),
    async ended(url: string): Promise<Run> {
      await until(async () => !['queued', 'running', 'parked'].includes((await run(url)).state))
      return await run(url)
    },
    /** Everything that is in the copies, but when it was written; and but for ids that PostgreSQL has given to what did not end, and gives nobody again. */
    table: async (url: string) =>
      await Promise.all(
        ['spaces', 'pages'].map(async (name) =>
          (await rowsOf(url, `select * from ${name} order by remote_id`)).map((row) => ({
            ...row,
            updated_at: null,
            ...(onPostgres ? { id: null } : {})
          }))
        )
      ),
    /** How often each page of the listing was fetched since, by its cursor. */
    fetched(since = new Map<string, number>()): Map<string, number> {
      const counts = new Map<string, number>()
      for (const { path, cursor = '' } of sandbox.world.stats.read().log) {
        if (path === PAGE_LIST) counts.set(cursor, (counts.get(cursor) ?? 0) + 1)
      }
      for (const [cursor, count] of since) counts.set(cursor, (counts.get(cursor) ?? 0) - count)
      return counts
    },
    /** A copy that nobody disturbs. @returns the table, and how long the service was at work */
    async copied(): Promise<[table: unknown, ms: number]> {
      const url = await here.fresh()
      await sandbox.admin('faults', undefined, 'DELETE')
      const service = await here.serve(url)
      const from = performance.now()
      const { state, seen } = await here.ended(url)
      const ms = performance.now() - from
      t.match({ state, seen }, { state: 'succeeded', seen: PAGES + 5 })
      await service.stop()
      return [await here.table(url), ms]
    }
  }
  return here
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  await soon(condition, LONGEST_MS)
}
