import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { many } from '../auth/helper.ts'
import { chance, seed } from '../fixtures/prng.ts'
import { Browser, build, configured } from '../helper.ts'
import type { Started } from '../process/child.ts'
import { query } from '../postgres/server.ts'
import { database, place, until } from './helper.ts'

const PAGES = many(10_000, 20_000)
const BLOWS = many(2, 30)
const LEASE_MS = 15_000
const GRACE_MS = 10_000
const PAGE_LIST = '/wiki/api/v2/pages'
const server = await database(t)

t.test(
  `D9 A12 Of two instances the one that copies ${PAGES} pages is killed or frozen, ${BLOWS} times: the other one ends the run, and the table is the same`,
  async (t) => {
    const chosen = seed()
    t.comment(`SEED=${chosen}`)
    const random = chance(chosen)
    const here = await original(t)
    const undisturbed = await here.copied()
    for (let blow = 1; blow <= BLOWS; blow++) {
      const isFrozen = blow % 2 === 0
      const title = `${isFrozen ? 'frozen' : 'killed'} ${blow}`
      const url = await here.fresh()
      const before = here.fetched()
      const services = await Promise.all([here.serve(url), here.serve(url)])
      const worker = await until(async () =>
        services.find(({ output }) => output().includes('sync_started'))
      )
      const other = services.find((each) => each !== worker) as Started
      const moment = Math.floor(random() * PAGES * 0.95)
      await until(
        async () => (await query(url, 'select seen from runs where id = 1'))[0].seen >= moment
      )
      worker.child.kill(isFrozen ? 'SIGSTOP' : 'SIGKILL')
      const from = performance.now()
      const [struck] = await query(url, 'select state, seen from runs where id = 1')
      const run = await here.ended(url)
      const took = Math.round(performance.now() - from)
      t.match(
        run,
        { state: 'succeeded', error_code: null },
        `${title}, after ${struck.seen as number} items`
      )
      t.ok(took < LEASE_MS + GRACE_MS, `${title}: ended ${took} ms later`)
      t.same(await here.table(url), undisturbed, `${title}: the same table`)
      const twice = [...here.fetched(before).values()].filter((count) => count > 1)
      t.ok(
        twice.length <= 1 && twice.every((count) => count === 2),
        `${title}: at most one page was fetched twice`
      )
      if (isFrozen) {
        const rows = async () =>
          await query(
            url,
            "select (select xmin::text || count(*) from pages where id = (select max(id) from pages) group by xmin) as pages, (select xmin::text from runs where id = 1) as run, (select string_agg(xmin::text, ' ' order by id) from checkpoints) as checkpoints"
          )
        const ended = await rows()
        worker.child.kill('SIGCONT')
        await sleep(1_500)
        t.same(await rows(), ended, `${title}: woken up, it writes nothing`)
      }
      await Promise.all([worker, other].map(async (each) => await each.stop('SIGKILL')))
      await server.query(`drop database ${url.split('/').at(-1) ?? ''} with (force)`)
    }
  }
)

/** A database whose first copy is waiting to be begun, and what the tests do with copies of it. */
async function original(t: Test) {
  const here = await place(t, server, {
    sandbox: { sizes: { projects: 1, issues: 1, spaces: 5, pages: PAGES } }
  })
  const { sandbox } = here
  // The first run is put off, so that each copy of the database begins it anew.
  await sandbox.admin('faults', {
    kind: 'status',
    status: 429,
    headers: { 'retry-after': '3600' },
    match: { path: '/wiki/api/v2/spaces' }
  })
  const { app } = await build(t, {
    ...configured(sandbox.url),
    ATLASSIAN_HOURLY_POINTS: '100000000',
    INTEGRATION_DB_URL: here.url
  })
  await new Browser(app).connect('confluence')
  await until(async () => (await app.store.runs.get(1, 'confluence'))?.state === 'parked')
  await app.close()
  await sandbox.admin('faults', undefined, 'DELETE')

  const copy = {
    async fresh(): Promise<string> {
      const url = await server.createDatabase()
      const name = url.split('/').at(-1) ?? ''
      await server.query(`drop database ${name}`)
      await server.query(`create database ${name} template ${here.url.split('/').at(-1) ?? ''}`)
      await query(url, 'update runs set parked_until = 0')
      await query(url, 'delete from budgets')
      return url
    },
    serve: async (url: string) => await here.serve({ INTEGRATION_DB_URL: url }),
    async ended(url: string): Promise<{ state: string; error_code: string | null }> {
      return await until(async () => {
        const [run] = await query(url, 'select state, error_code from runs where id = 1')
        return !['queued', 'running', 'parked'].includes(run.state as string) && run
      })
    },
    /**
     * Everything that is in the copies, as one hash; but when it was written, and the numbers that the server gives to rows: those of
     * a transaction that did not end are not given again.
     */
    table: async (url: string) =>
      await Promise.all(
        ['spaces', 'pages'].map(
          async (name) =>
            (
              await query(
                url,
                `select count(*)::int as count, md5(string_agg((to_jsonb(t) - 'updated_at' - 'id')::text, ' ' order by remote_id)) as hash from ${name} t`
              )
            )[0]
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
    /** A copy that nobody disturbs. */
    async copied(): Promise<unknown> {
      const url = await copy.fresh()
      const service = await copy.serve(url)
      t.match(await copy.ended(url), { state: 'succeeded' })
      await service.stop()
      return await copy.table(url)
    }
  }
  return copy
}
