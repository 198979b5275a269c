import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { pickByScale } from '../auth/helper.ts'
import { createRandom, chooseSeed } from '../fixtures/prng.ts'
import { Browser, buildTestApp, buildSandboxEnv, waitFor } from '../helper.ts'
import type { ServiceProcess } from '../process/child.ts'
import { queryPostgres } from '../postgres/server.ts'
import { startDatabaseServer, createClusterFixture } from './helper.ts'

const PAGE_COUNT = pickByScale(10_000, 20_000)
const KILL_COUNT = pickByScale(2, 30)
const LEASE_MS = 15_000
const GRACE_MS = 10_000
const PAGE_LIST_PATH = '/wiki/api/v2/pages'
const server = await startDatabaseServer(t)

t.test(
  `D9 A12 Another instance finishes the run of a worker killed or frozen, ${KILL_COUNT} times`,
  async (t) => {
    const chosen = chooseSeed()
    t.comment(`SEED=${chosen}`)
    const random = createRandom(chosen)
    const fixture = await createCrashFixture(t)
    const undisturbed = await fixture.runUndisturbed()
    for (let blow = 1; blow <= KILL_COUNT; blow++) {
      const isFrozen = blow % 2 === 0
      const title = `${isFrozen ? 'frozen' : 'killed'} ${blow}`
      const url = await fixture.createCopy()
      const before = fixture.countFetches()
      const services = await Promise.all([fixture.startService(url), fixture.startService(url)])
      const worker = await waitFor(async () =>
        services.find(({ output }) => output().includes('sync_started'))
      )
      const other = services.find((each) => each !== worker) as ServiceProcess
      const moment = Math.floor(random() * PAGE_COUNT * 0.95)
      await waitFor(
        async () =>
          (await queryPostgres(url, 'select seen from runs where id = 1'))[0].seen >= moment
      )
      worker.child.kill(isFrozen ? 'SIGSTOP' : 'SIGKILL')
      const from = performance.now()
      const [struck] = await queryPostgres(url, 'select state, seen from runs where id = 1')
      const run = await fixture.ended(url)
      const took = Math.round(performance.now() - from)
      t.match(
        run,
        { state: 'succeeded', error_code: null },
        `${title}, after ${struck.seen as number} items`
      )
      t.ok(took < LEASE_MS + GRACE_MS, `${title}: ended ${took} ms later`)
      t.same(await fixture.hashTables(url), undisturbed, `${title}: same rows`)
      const twice = [...fixture.countFetches(before).values()].filter((count) => count > 1)
      t.ok(
        twice.length <= 1 && twice.every((count) => count === 2),
        `${title}: at most one page was fetched twice`
      )
      if (isFrozen) {
        const rows = async () =>
          await queryPostgres(
            url,
            'select (select xmin::text || count(*) from pages where id = (select max(id) from ' +
              'pages) group by xmin) as pages, (select xmin::text from runs where id = 1) as run, ' +
              "(select string_agg(xmin::text, ' ' order by id) from checkpoints) as checkpoints"
          )
        const waitForRunEnd = await rows()
        worker.child.kill('SIGCONT')
        await sleep(1_500)
        t.same(await rows(), waitForRunEnd, `${title}: after it resumes, it writes nothing`)
      }
      await Promise.all([worker, other].map(async (each) => await each.stop('SIGKILL')))
      await server.query(`drop database ${url.split('/').at(-1) ?? ''} with (force)`)
    }
  }
)

/** A database with a queued first sync, and helpers for copies of it. */
async function createCrashFixture(t: Test) {
  const fixture = await createClusterFixture(t, server, {
    sandbox: { sizes: { projects: 1, issues: 1, spaces: 5, pages: PAGE_COUNT } }
  })
  const { sandbox } = fixture
  // Delays the first run so that each copy of the database starts it.
  await sandbox.admin('faults', {
    kind: 'status',
    status: 429,
    headers: { 'retry-after': '3600' },
    match: { path: '/wiki/api/v2/spaces' }
  })
  const { app } = await buildTestApp(t, {
    ...buildSandboxEnv(sandbox.url),
    ATLASSIAN_HOURLY_POINTS: '100000000',
    INTEGRATION_DB_URL: fixture.url
  })
  await new Browser(app).connect('confluence')
  await waitFor(async () => (await app.store.runs.get(1, 'confluence'))?.state === 'parked')
  await app.close()
  await sandbox.admin('faults', undefined, 'DELETE')

  const copy = {
    async createCopy(): Promise<string> {
      const url = await server.createDatabase()
      const name = url.split('/').at(-1) ?? ''
      await server.query(`drop database ${name}`)
      await server.query(`create database ${name} template ${fixture.url.split('/').at(-1) ?? ''}`)
      await queryPostgres(url, 'update runs set parked_until = 0')
      await queryPostgres(url, 'delete from budgets')
      return url
    },
    startService: async (url: string) => await fixture.startService({ INTEGRATION_DB_URL: url }),
    async ended(url: string): Promise<{ state: string; error_code: string | null }> {
      return await waitFor(async () => {
        const [run] = await queryPostgres(url, 'select state, error_code from runs where id = 1')
        return !['queued', 'running', 'parked'].includes(run.state as string) && run
      })
    },
    /**
     * One hash over all copied rows, without write times and without row ids from sequences:
     * PostgreSQL does not reuse the ids of a transaction that rolled back.
     */
    hashTables: async (url: string) =>
      await Promise.all(
        ['spaces', 'pages'].map(
          async (name) =>
            (
              await queryPostgres(
                url,
                "select count(*)::int as count, md5(string_agg((to_jsonb(t) - 'updated_at' - " +
                  `'id')::text, ' ' order by remote_id)) as hash from ${name} t`
              )
            )[0]
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
    /** A sync without interruption. */
    async runUndisturbed(): Promise<unknown> {
      const url = await copy.createCopy()
      const service = await copy.startService(url)
      t.match(await copy.ended(url), { state: 'succeeded' })
      await service.stop()
      return await copy.hashTables(url)
    }
  }
  return copy
}
