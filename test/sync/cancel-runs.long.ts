import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { databaseAt, rowsOf } from '../database.ts'
import { build, configured, synced, type Built } from '../helper.ts'
import { folder } from '../process/child.ts'
import {
  DAY_MS,
  place,
  run,
  start,
  until,
  type Place,
  type PlaceOptions,
  type Row
} from './time-helper.ts'

/** Two pages of the listing, the second of them short. */
const PAGES = 300
const PAGE = 250
const WIKI: PlaceOptions = {
  products: ['confluence'],
  sandbox: { sizes: { projects: 1, issues: 1, spaces: 1, pages: PAGES } }
}
const RUNS = '/integrations/confluence/sync/runs'

const cancel = async ({ app }: Pick<Built, 'app'>, id: number, product = 'confluence') =>
  await app.inject({ method: 'DELETE', url: `/integrations/${product}/sync/runs/${id}` })
const isAt = async (here: Pick<Built, 'app'>, id: number, seen: number) =>
  (await run(here, 'confluence', id)).counts.seen >= seen

/** A full copy that has saved its first page of pages, and waits for the second. One page in each has another title by then. */
async function halfway(here: Place, trouble: object = { kind: 'hang' }) {
  const [first, second] = [1, PAGE + 1].map(
    (position) => here.sandbox.world.sites[0]?.pages.at(position)?.id ?? ''
  )
  const title = `New ${Math.random()}`
  for (const id of [first, second]) await here.sandbox.admin(`pages/${id}`, { title })
  await here.sandbox.admin('faults', { ...trouble, match: { path: '/api/v2/pages' }, skip: 1 })
  const id = await start(here.app, 'confluence')
  await until(async () => await isAt(here, id, 1 + PAGE))
  const changed = async () =>
    await Promise.all(
      [first, second].map(async (name) => (await here.item('pages', name ?? ''))?.title === title)
    )
  t.same(await changed(), [true, false], 'what was read is copied')
  return { id, changed }
}

/** Where the listing of pages was read, in turn. */
async function cursors(here: Place, act: () => Promise<unknown>): Promise<Array<string | null>> {
  return (await here.asked(act))
    .filter(({ path }) => path.endsWith('/api/v2/pages'))
    .map(({ cursor = null }) => cursor)
}

/** A place on a database, and another process at the same one. */
async function shared(t: Test) {
  const url = await databaseAt(t, join(folder(t), 'shared.db'))
  const env = { INTEGRATION_DB_URL: url, SYNC_CONCURRENCY: '1' }
  const here = await place(t, { ...WIKI, env })
  const other = async () =>
    await build(t, {
      ...configured(here.sandbox.url),
      SYNC_INTERVAL: '0',
      ATLASSIAN_HOURLY_POINTS: '100000000',
      ...env
    })
  const query = async (statement: string) => await rowsOf(url, statement)
  return { here, other, query }
}

t.test(
  'A run is cancelled within a second while a page hangs; what it copied stays, and the next run goes on at that page',
  async (t) => {
    const here = await place(t, WIKI)
    let half: Awaited<ReturnType<typeof halfway>> | undefined
    const before = await cursors(here, async () => {
      half = await halfway(here)
      const from = performance.now()
      const answer = await cancel(here, half.id)
      t.ok(performance.now() - from < 1_000, `it took ${Math.round(performance.now() - from)} ms`)
      t.match(answer.json(), {
        id: half.id,
        state: 'cancelled',
        error: { code: 'cancelled', detail: /What it had copied stays/ },
        counts: { seen: 1 + PAGE, changed: 1, removed: 0 },
        finished_at: /Z$/,
        duration_ms: Number
      })
      t.match(await run(here, 'confluence', half.id), { state: 'cancelled' }, 'and stays so')
      t.same(await half.changed(), [true, false])
      t.equal((await here.names('pages')).length, PAGES, 'nothing is gone')
    })
    t.equal(before.length, 2)
    const after = await cursors(here, async () => {
      t.match(await here.copy('confluence', 'incremental'), {
        state: 'succeeded',
        counts: { seen: 1 + PAGES - PAGE, changed: 1, removed: 0 }
      })
    })
    t.same(after, before.slice(1), 'the page that hung, and no other')
    t.same(await half?.changed(), [true, true])
  }
)

t.test('A run that has ended cannot be cancelled, and one that is not there neither', async (t) => {
  const here = await place(t, WIKI)
  t.match((await cancel(here, 1)).json(), { status: 409, code: 'run_ended', detail: /\.$/ })
  t.match(await run(here, 'confluence', 1), { state: 'succeeded', error: null })
  for (const [id, product] of [
    [99, 'confluence'],
    [1, 'jira']
  ] as const) {
    t.match((await cancel(here, id, product)).json(), { status: 404, code: 'run_not_found' })
  }
  t.match((await here.app.inject({ method: 'DELETE', url: `${RUNS}/x` })).json(), { status: 422 })
})

t.test(
  'A run that waits for room, or for its time, is cancelled as well and never begins',
  async (t) => {
    const here = await place(t, { env: { SYNC_CONCURRENCY: '1' } })
    await here.sandbox.admin('faults', { kind: 'hang', match: { path: '/project/search' } })
    const [working, waiting] = [await start(here.app, 'jira'), await start(here.app, 'confluence')]
    t.match((await cancel(here, waiting)).json(), {
      state: 'cancelled',
      started_at: null,
      counts: { upstream_calls: 0 }
    })
    t.match((await cancel(here, working, 'jira')).json(), { state: 'cancelled' })
    await here.sandbox.admin('faults', {
      kind: 'status',
      status: 429,
      headers: { 'retry-after': '600' },
      match: { path: '/api/v2/spaces' }
    })
    const parked = await start(here.app, 'confluence')
    await until(async () => (await run(here, 'confluence', parked)).state === 'parked')
    t.match(await run(here, 'confluence', parked), {
      next_run_at: /Z$/,
      error: { code: 'upstream_rate_limited' }
    })
    t.match((await cancel(here, parked)).json(), { state: 'cancelled', next_run_at: null })
    here.pass(DAY_MS)
    const log = await here.asked(async () => {
      await here.app.schedule.once()
      await sleep(50)
    })
    t.same(log, [], 'nothing goes on by itself')
    for (const id of [waiting, parked]) {
      t.match(await run(here, 'confluence', id), { state: 'cancelled' })
    }
    t.match(await here.copy('confluence'), { state: 'succeeded' })
  }
)

t.test(
  'A run is cancelled from another process, and its place is free within a second',
  async (t) => {
    const { here, other } = await shared(t)
    const there = await other()
    const { id } = await halfway(here)
    const from = performance.now()
    t.match((await cancel(there, id)).json(), { state: 'cancelled' })
    t.match(await here.copy('confluence'), {
      state: 'succeeded',
      counts: { seen: 1 + PAGES - PAGE }
    })
    t.ok(
      performance.now() - from < 1_500,
      `the next run had ended after ${Math.round(performance.now() - from)} ms, in the only place there is`
    )
    t.match(await run(there, 'confluence', id), { state: 'cancelled', counts: { seen: 1 + PAGE } })
  }
)

t.test(
  'The run of a worker that died is taken over; if it comes back late it saves nothing',
  async (t) => {
    const { here, other, query } = await shared(t)
    const there = await other()
    // The page comes while another worker holds the run, who does nothing with it.
    const { id, changed } = await halfway(here, { kind: 'delay', delay_ms: 300 })
    await query("update runs set worker = 'somebody else', lease_until = 9e15")
    const before = await run(here, 'confluence', id)
    await sleep(900)
    t.same(await run(there, 'confluence', id), before, 'no count has changed')
    t.same(await changed(), [true, false], 'nothing was saved')
    t.notOk(
      here.lines().some(({ event, run_id: about }) => event === 'sync_succeeded' && about === id)
    )
    // That one dies too.
    await query('update runs set lease_until = 0')
    await there.app.schedule.once()
    t.match(await synced(there.app, 'confluence', id), {
      state: 'succeeded',
      counts: { seen: 1 + PAGES, changed: 2, added: 0 }
    })
    t.same(await changed(), [true, true])
    t.equal((await here.names('pages')).length, PAGES)
  }
)

t.test(
  'A service that stops puts its run aside, and the next one finishes it under the same id',
  async (t) => {
    const { here, other } = await shared(t)
    const before = await cursors(here, async () => {
      await halfway(here)
      const from = performance.now()
      await here.app.close()
      t.ok(performance.now() - from < 1_000, 'it does not wait for the page')
    })
    const next = await other()
    t.match(await run(next, 'confluence', 2), { state: 'queued', counts: { seen: 1 + PAGE } })
    const after = await cursors(here, async () => {
      await next.app.listen({ port: 0, host: '127.0.0.1' })
      t.match(await synced(next.app, 'confluence', 2), {
        state: 'succeeded',
        counts: { seen: 1 + PAGES, changed: 2 }
      })
    })
    t.same(after, before.slice(1), 'it reads the page that was missing, and no other')
    t.equal(((await next.app.inject(RUNS)).json() as Row[]).length, 2, 'there is no third run')
  }
)

t.test('Runs are listed newest first, page by page, each with what was asked for', async (t) => {
  const here = await place(t, {
    ...WIKI,
    sandbox: { sizes: { projects: 1, issues: 1, spaces: 1, pages: 1 } }
  })
  for (const mode of ['full', 'incremental', 'due', 'full', 'incremental', 'due']) {
    await here.copy('confluence', mode)
  }
  const read: Row[] = []
  for (let url: string | undefined = `${RUNS}?limit=3`, pages = 0; url !== undefined; pages++) {
    const answer: LightMyRequestResponse = await here.app.inject(url)
    read.push(...answer.json())
    url = /<([^>]+)>; rel="next"/.exec(String(answer.headers.link ?? ''))?.[1]
    t.equal(answer.json().length, url === undefined ? 1 : 3)
    t.ok(pages < 3)
  }
  t.same(
    read.map(({ id }) => id),
    [7, 6, 5, 4, 3, 2, 1]
  )
  t.same(
    read.map(({ mode }) => mode),
    ['due', 'incremental', 'full', 'due', 'incremental', 'full', 'due']
  )
  t.same(read[0], await run(here, 'confluence', 7))
  t.same((await here.app.inject('/integrations/jira/sync/runs')).json(), [])
  for (const query of ['mode=everything', 'mode=', 'mode=full&mode=due', 'mod=full']) {
    t.match(
      (
        await here.app.inject({ method: 'POST', url: `/integrations/confluence/sync?${query}` })
      ).json(),
      { status: 422, code: 'validation_failed' },
      query
    )
  }
  for (const query of ['limit=0', 'limit=1001', 'owner_id=x']) {
    t.match((await here.app.inject(`${RUNS}?${query}`)).json(), { status: 422 }, query)
  }
  t.match((await here.app.inject(`${RUNS}?cursor=x`)).json(), { status: 400 })
  t.match((await here.app.inject(`${RUNS}?owner_id=9`)).json(), { status: 404 })
})
