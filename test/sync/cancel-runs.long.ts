import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { ensureDatabase, queryDatabase } from '../database.ts'
import { buildTestApp, buildSandboxEnv, waitForRun, type TestApp, waitFor } from '../helper.ts'
import { resolveNextPage } from '../network.ts'
import { createTempFolder } from '../process/child.ts'
import { DAY_MS } from '../time.ts'
import type { JsonObject } from '../types.ts'
import {
  createSyncFixture,
  getRun,
  startSync,
  type SyncFixture,
  type SyncFixtureOptions
} from './time-helper.ts'
import { getSyncScheduler } from '../jobs.ts'

/** Two pages of the listing; the second is not full. */
const PAGE_COUNT = 300
const PAGE_SIZE = 250
const WIKI_FIXTURE: SyncFixtureOptions = {
  products: ['confluence'],
  sandbox: { sizes: { projects: 1, issues: 1, spaces: 1, pages: PAGE_COUNT } }
}
const RUNS_PATH = '/integrations/confluence/sync/runs'

const cancelRun = async ({ app }: Pick<TestApp, 'app'>, id: number, product = 'confluence') =>
  await app.inject({ method: 'DELETE', url: `/integrations/${product}/sync/runs/${id}` })
const hasSeen = async (fixture: Pick<TestApp, 'app'>, id: number, seen: number) =>
  (await getRun(fixture, 'confluence', id)).counts.seen >= seen

/**
 * A full sync that has saved the first page of the page listing and waits for the second. One
 * item on each of the two has a new title by then.
 */
async function startHalfwayRun(fixture: SyncFixture, trouble: object = { kind: 'hang' }) {
  const [first, second] = [1, PAGE_SIZE + 1].map(
    (position) => fixture.sandbox.state.sites[0]?.pages.at(position)?.id ?? ''
  )
  const title = `New ${Math.random()}`
  for (const id of [first, second]) await fixture.sandbox.admin(`pages/${id}`, { title })
  await fixture.sandbox.admin('faults', { ...trouble, match: { path: '/api/v2/pages' }, skip: 1 })
  const id = await startSync(fixture.app, 'confluence')
  await waitFor(async () => await hasSeen(fixture, id, 1 + PAGE_SIZE))
  const changed = async () =>
    await Promise.all(
      [first, second].map(
        async (name) => (await fixture.findItem('pages', name ?? ''))?.title === title
      )
    )
  t.same(await changed(), [true, false], 'the first page is copied')
  return { id, changed }
}

/** The cursors at which the page listing was read, in order. */
async function recordCursors(
  fixture: SyncFixture,
  act: () => Promise<unknown>
): Promise<Array<string | null>> {
  return (await fixture.recordCalls(act))
    .filter(({ path }) => path.endsWith('/api/v2/pages'))
    .map(({ cursor = null }) => cursor)
}

/** A service with one slot, and another process on the same database. */
async function createSharedFixture(t: Test) {
  const url = await ensureDatabase(t, join(createTempFolder(t), 'shared.db'))
  const env = { INTEGRATION_DB_URL: url, SYNC_CONCURRENCY: '1' }
  const fixture = await createSyncFixture(t, { ...WIKI_FIXTURE, env })
  const other = async () =>
    await buildTestApp(t, {
      ...buildSandboxEnv(fixture.sandbox.url),
      SYNC_INTERVAL: '0',
      ATLASSIAN_HOURLY_POINTS: '100000000',
      ...env
    })
  const query = async (statement: string) => await queryDatabase(url, statement)
  return { fixture, other, query }
}

t.test(
  'Cancels a run within a second while a page hangs; items stay, and the next run resumes at that page',
  async (t) => {
    const fixture = await createSyncFixture(t, WIKI_FIXTURE)
    let half: Awaited<ReturnType<typeof startHalfwayRun>> | undefined
    const before = await recordCursors(fixture, async () => {
      half = await startHalfwayRun(fixture)
      const from = performance.now()
      const answer = await cancelRun(fixture, half.id)
      t.ok(performance.now() - from < 1_000, `it took ${Math.round(performance.now() - from)} ms`)
      t.match(answer.json(), {
        id: half.id,
        state: 'cancelled',
        error: { code: 'cancelled', detail: /Its copies are kept/ },
        counts: { seen: 1 + PAGE_SIZE, changed: 1, removed: 0 },
        finished_at: /Z$/,
        duration_ms: Number
      })
      t.match(await getRun(fixture, 'confluence', half.id), { state: 'cancelled' }, 'and stays so')
      t.same(await half.changed(), [true, false])
      t.equal((await fixture.listNames('pages')).length, PAGE_COUNT, 'nothing is gone')
    })
    t.equal(before.length, 2)
    const after = await recordCursors(fixture, async () => {
      t.match(await fixture.runSync('confluence', 'incremental'), {
        state: 'succeeded',
        counts: { seen: 1 + PAGE_COUNT - PAGE_SIZE, changed: 1, removed: 0 }
      })
    })
    t.same(after, before.slice(1), 'only the page that hung')
    t.same(await half?.changed(), [true, true])
  }
)

t.test('Refuses to cancel an ended or unknown run', async (t) => {
  const fixture = await createSyncFixture(t, WIKI_FIXTURE)
  t.match((await cancelRun(fixture, 1)).json(), { status: 409, code: 'run_ended', detail: /\.$/ })
  t.match(await getRun(fixture, 'confluence', 1), { state: 'succeeded', error: null })
  for (const [id, product] of [
    [99, 'confluence'],
    [1, 'jira']
  ] as const) {
    t.match((await cancelRun(fixture, id, product)).json(), { status: 404, code: 'run_not_found' })
  }
  t.match((await fixture.app.inject({ method: 'DELETE', url: `${RUNS_PATH}/x` })).json(), {
    status: 422
  })
})

t.test('Cancels a queued or parked run, and it never starts', async (t) => {
  const fixture = await createSyncFixture(t, { env: { SYNC_CONCURRENCY: '1' } })
  await fixture.sandbox.admin('faults', { kind: 'hang', match: { path: '/project/search' } })
  const [working, waiting] = [
    await startSync(fixture.app, 'jira'),
    await startSync(fixture.app, 'confluence')
  ]
  t.match((await cancelRun(fixture, waiting)).json(), {
    state: 'cancelled',
    started_at: null,
    counts: { upstream_calls: 0 }
  })
  t.match((await cancelRun(fixture, working, 'jira')).json(), { state: 'cancelled' })
  await fixture.sandbox.admin('faults', {
    kind: 'status',
    status: 429,
    headers: { 'retry-after': '600' },
    match: { path: '/api/v2/spaces' }
  })
  const parked = await startSync(fixture.app, 'confluence')
  await waitFor(async () => (await getRun(fixture, 'confluence', parked)).state === 'parked')
  t.match(await getRun(fixture, 'confluence', parked), {
    next_run_at: /Z$/,
    error: { code: 'upstream_rate_limited' }
  })
  t.match((await cancelRun(fixture, parked)).json(), { state: 'cancelled', next_run_at: null })
  fixture.advanceTime(DAY_MS)
  const log = await fixture.recordCalls(async () => {
    await getSyncScheduler(fixture.app).runNow()
    await sleep(50)
  })
  t.same(log, [], 'no run starts automatically')
  for (const id of [waiting, parked]) {
    t.match(await getRun(fixture, 'confluence', id), { state: 'cancelled' })
  }
  t.match(await fixture.runSync('confluence'), { state: 'succeeded' })
})

t.test('Cancels a run from another process, and its slot is free within a second', async (t) => {
  const { fixture, other } = await createSharedFixture(t)
  const there = await other()
  const { id } = await startHalfwayRun(fixture)
  const from = performance.now()
  t.match((await cancelRun(there, id)).json(), { state: 'cancelled' })
  t.match(await fixture.runSync('confluence'), {
    state: 'succeeded',
    counts: { seen: 1 + PAGE_COUNT - PAGE_SIZE }
  })
  t.ok(
    performance.now() - from < 1_500,
    `the next run ended after ${Math.round(performance.now() - from)} ms, in the only slot`
  )
  t.match(await getRun(there, 'confluence', id), {
    state: 'cancelled',
    counts: { seen: 1 + PAGE_SIZE }
  })
})

t.test(
  'Another worker takes the run of a dead worker, which saves nothing if it returns',
  async (t) => {
    const { fixture, other, query } = await createSharedFixture(t)
    const there = await other()
    // The page arrives while another worker, which stays idle, holds the run.
    const { id, changed } = await startHalfwayRun(fixture, { kind: 'delay', delay_ms: 300 })
    await query("update runs set worker = 'somebody else', lease_until = 9e15")
    const before = await getRun(fixture, 'confluence', id)
    await sleep(900)
    t.same(await getRun(there, 'confluence', id), before, 'no count changed')
    t.same(await changed(), [true, false], 'nothing was saved')
    t.notOk(
      fixture.lines().some(({ event, run_id: about }) => event === 'sync_succeeded' && about === id)
    )
    // That worker dies too.
    await query('update runs set lease_until = 0')
    await getSyncScheduler(there.app).runNow()
    t.match(await waitForRun(there.app, 'confluence', id), {
      state: 'succeeded',
      counts: { seen: 1 + PAGE_COUNT, changed: 2, added: 0 }
    })
    t.same(await changed(), [true, true])
    t.equal((await fixture.listNames('pages')).length, PAGE_COUNT)
  }
)

t.test(
  'A stopping service requeues its run, and the next one finishes it under the same id',
  async (t) => {
    const { fixture, other } = await createSharedFixture(t)
    const before = await recordCursors(fixture, async () => {
      await startHalfwayRun(fixture)
      const from = performance.now()
      await fixture.app.close()
      t.ok(performance.now() - from < 1_000, 'it does not wait for the page')
    })
    const next = await other()
    t.match(await getRun(next, 'confluence', 2), {
      state: 'queued',
      counts: { seen: 1 + PAGE_SIZE }
    })
    const after = await recordCursors(fixture, async () => {
      await next.app.listen({ port: 0, host: '127.0.0.1' })
      t.match(await waitForRun(next.app, 'confluence', 2), {
        state: 'succeeded',
        counts: { seen: 1 + PAGE_COUNT, changed: 2 }
      })
    })
    t.same(after, before.slice(1), 'it reads only the missing page')
    t.equal(
      ((await next.app.inject(RUNS_PATH)).json() as JsonObject[]).length,
      2,
      'there is no third run'
    )
  }
)

t.test('Lists runs newest first, by page, with their options', async (t) => {
  const fixture = await createSyncFixture(t, {
    ...WIKI_FIXTURE,
    sandbox: { sizes: { projects: 1, issues: 1, spaces: 1, pages: 1 } }
  })
  for (const mode of ['full', 'incremental', 'due', 'full', 'incremental', 'due']) {
    await fixture.runSync('confluence', mode)
  }
  const read: JsonObject[] = []
  for (
    let url: string | undefined = `${RUNS_PATH}?limit=3`, pages = 0;
    url !== undefined;
    pages++
  ) {
    const answer: LightMyRequestResponse = await fixture.app.inject(url)
    read.push(...answer.json())
    url = resolveNextPage(url, answer.headers.link)
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
  t.same(read[0], await getRun(fixture, 'confluence', 7))
  t.same((await fixture.app.inject('/integrations/jira/sync/runs')).json(), [])
  for (const query of ['mode=everything', 'mode=', 'mode=full&mode=due', 'mod=full']) {
    t.match(
      (
        await fixture.app.inject({ method: 'POST', url: `/integrations/confluence/sync?${query}` })
      ).json(),
      { status: 422, code: 'validation_failed' },
      query
    )
  }
  for (const query of ['limit=0', 'limit=1001', 'owner_id=x']) {
    t.match((await fixture.app.inject(`${RUNS_PATH}?${query}`)).json(), { status: 422 }, query)
  }
  t.match((await fixture.app.inject(`${RUNS_PATH}?cursor=x`)).json(), { status: 400 })
  t.match((await fixture.app.inject(`${RUNS_PATH}?owner_id=9`)).json(), { status: 404 })
})
