import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { ensureDatabase } from '../database.ts'
import {
  Browser,
  buildTestApp,
  OAUTH_CLIENTS,
  buildSandboxEnv,
  waitForRun,
  type Product,
  waitFor
} from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { MINUTE_MS, HOUR_MS, DAY_MS } from '../time.ts'
import type { JsonObject } from '../types.ts'
import { createSyncFixture, getRun, startSync, type SyncFixture } from './time-helper.ts'
import { getSyncScheduler } from '../jobs.ts'

/** 15 minutes plus the maximum jitter. */
const INTERVAL_MS = 17 * MINUTE_MS
const SCHEDULE_ENV = { SYNC_INTERVAL: '15' }

const listRuns = async ({ app }: Pick<SyncFixture, 'app'>, product: Product, owner = 1) =>
  (await app.inject(`/integrations/${product}/sync/runs?owner_id=${owner}`)).json() as JsonObject[]
/** Connects users 1 to `count` to both products; the first user exists already. */
async function connectPeople(fixture: SyncFixture, count: number): Promise<void> {
  for (let owner = 2; owner <= count; owner++) {
    for (const product of ['jira', 'confluence'] as const) {
      await new Browser(fixture.app).connect(
        product,
        `&state=${encodeURIComponent(`email=p${owner}@example.com`)}`
      )
      await waitForRun(fixture.app, product, (await listRuns(fixture, product, owner))[0]?.id)
    }
  }
}
/** The newest run of a product, once it has ended. */
const waitForLatestRun = async (fixture: SyncFixture, product: Product) =>
  await waitForRun(fixture.app, product, (await listRuns(fixture, product))[0]?.id)

t.test('A listening service runs the schedule', async (t) => {
  const fixture = await createSyncFixture(t, { env: SCHEDULE_ENV })
  await fixture.app.listen({ port: 0, host: '127.0.0.1' })
  for (const count of [2, 3]) {
    // A run is scheduled just after the one before it has ended, so the clock advances until then.
    await waitFor(async () => {
      fixture.advanceTime(MINUTE_MS)
      return (
        (await listRuns(fixture, 'jira')).length >= count &&
        (await listRuns(fixture, 'confluence')).length >= count
      )
    })
    t.match(
      [await waitForLatestRun(fixture, 'jira'), await waitForLatestRun(fixture, 'confluence')],
      [{ state: 'succeeded' }, { state: 'succeeded' }]
    )
  }
})

t.test(
  'T37 Serves an owner without an active run first, even if the request came later',
  async (t) => {
    const fixture = await createSyncFixture(t, { env: { SYNC_CONCURRENCY: '2' } })
    await connectPeople(fixture, 3)
    const delay = async (path: string, ms: number) =>
      await fixture.sandbox.admin('faults', { kind: 'delay', delay_ms: ms, match: { path } })
    // Both slots are busy; the second becomes free first.
    await delay('/search/jql', 12_000)
    const long = await startSync(fixture.app, 'jira', 'incremental', 1)
    await waitFor(async () => fixture.sandbox.state.faults.list().length === 0)
    await delay('/rest/api/search', 2_000)
    await startSync(fixture.app, 'confluence', 'incremental', 2)
    await waitFor(async () => fixture.sandbox.state.faults.list().length === 0)
    const [second, other, third] = [
      await startSync(fixture.app, 'confluence', 'incremental', 1),
      await startSync(fixture.app, 'jira', 'incremental', 3),
      await startSync(fixture.app, 'confluence', 'incremental', 3)
    ]
    const ended = await Promise.all(
      (
        [
          [second, 'confluence'],
          [other, 'jira'],
          [third, 'confluence'],
          [long, 'jira']
        ] as const
      ).map(async ([id, product]) => await waitForRun(fixture.app, product, id))
    )
    t.ok(ended.every(({ state }) => state === 'succeeded'))
    const [ofBusy, ofFree] = ended.map(({ started_at: at }) => Date.parse(at))
    t.ok(Number(ofFree) < Number(ofBusy), 'the owner without an active run came first')
    t.ok(Number(ofBusy) < Date.parse(ended[3]?.finished_at), 'an unused slot is not reserved')
  }
)

t.test('Schedules the next run after a failed or cancelled run', async (t) => {
  const fixture = await createSyncFixture(t, { env: SCHEDULE_ENV })
  await fixture.sandbox.admin('faults', {
    kind: 'status',
    status: 403,
    times: 2,
    match: { path: '/ex/jira/' }
  })
  fixture.advanceTime(INTERVAL_MS)
  await getSyncScheduler(fixture.app).runNow()
  t.match(
    [await waitForLatestRun(fixture, 'jira'), await waitForLatestRun(fixture, 'confluence')],
    [{ state: 'failed' }, { state: 'succeeded' }]
  )
  const { next_sync_at: next, state } = await fixture.getConnection('jira')
  t.equal(state, 'active')
  const away = (Date.parse(next) - fixture.sandbox.state.now()) / MINUTE_MS
  t.ok(away > 13 && away < 17, `the next one is ${away} minutes away`)
  await fixture.sandbox.admin('faults', { kind: 'hang', match: { path: '/ex/jira/' } })
  fixture.advanceTime(INTERVAL_MS)
  await getSyncScheduler(fixture.app).runNow()
  await waitFor(async () => fixture.sandbox.state.faults.list().length === 0)
  const [{ id } = { id: 0 }] = await listRuns(fixture, 'jira')
  t.match(
    (
      await fixture.app.inject({ method: 'DELETE', url: `/integrations/jira/sync/runs/${id}` })
    ).json(),
    { state: 'cancelled' }
  )
  fixture.advanceTime(INTERVAL_MS)
  await getSyncScheduler(fixture.app).runNow()
  t.match(await waitForLatestRun(fixture, 'jira'), { state: 'succeeded' })
  t.equal((await listRuns(fixture, 'jira')).length, 4)
})

t.test('A long wait requested by Atlassian does not queue the connection twice', async (t) => {
  const fixture = await createSyncFixture(t, { env: SCHEDULE_ENV })
  await fixture.sandbox.admin('faults', {
    kind: 'status',
    status: 429,
    headers: { 'retry-after': '3600' },
    match: { path: '/ex/jira/' }
  })
  fixture.advanceTime(INTERVAL_MS)
  await getSyncScheduler(fixture.app).runNow()
  await waitFor(async () => (await listRuns(fixture, 'jira'))[0]?.state === 'parked')
  const [parked] = await listRuns(fixture, 'jira')
  for (let i = 0; i < 3; i++) {
    fixture.advanceTime(INTERVAL_MS)
    await getSyncScheduler(fixture.app).runNow()
  }
  t.same(await listRuns(fixture, 'jira'), [parked, (await listRuns(fixture, 'jira')).at(-1)])
  fixture.advanceTime(INTERVAL_MS)
  await getSyncScheduler(fixture.app).runNow()
  t.match(
    await waitForLatestRun(fixture, 'jira'),
    { id: parked?.id, state: 'succeeded' },
    'the same run, at its time'
  )
})

const FIXTURES_BY_STATE: Record<string, (t: Test) => Promise<SyncFixture>> = {
  async needs_site(t) {
    const fixture = await createSyncFixture(t, {
      env: SCHEDULE_ENV,
      products: [],
      sandbox: {
        clients: OAUTH_CLIENTS.map((client) => ({ ...client, access: 'account' as const }))
      }
    })
    await new Browser(fixture.app).connect('jira')
    return fixture
  },
  async scope_missing(t) {
    const fixture = await createSyncFixture(t, { env: SCHEDULE_ENV, products: ['jira'] })
    await fixture.sandbox.admin('faults', {
      kind: 'status',
      status: 401,
      headers: { 'x-failure-category': 'FAILURE_CLIENT_SCOPE_CHECK' },
      times: 4,
      match: { path: '/ex/jira/' }
    })
    await fixture.runSync('jira')
    return fixture
  },
  async needs_reconnect(t) {
    const fixture = await createSyncFixture(t, { env: SCHEDULE_ENV, products: ['jira'] })
    await fixture.sandbox.admin('revoke', {})
    fixture.advanceTime(2 * HOUR_MS)
    await fixture.runSync('jira')
    return fixture
  }
}

for (const [state, make] of Object.entries(FIXTURES_BY_STATE)) {
  t.test(`Skips a connection that is ${state} until its user acts`, async (t) => {
    const fixture = await make(t)
    t.match(await fixture.getConnection('jira'), { state })
    await waitFor(async () =>
      (await listRuns(fixture, 'jira')).every(({ finished_at: at }) => at !== null)
    )
    const before = await listRuns(fixture, 'jira')
    const log = await fixture.recordCalls(async () => {
      for (let i = 0; i < 3; i++) {
        fixture.advanceTime(INTERVAL_MS)
        await getSyncScheduler(fixture.app).runNow()
        await sleep(20)
      }
    })
    t.same(await listRuns(fixture, 'jira'), before)
    t.same(log, [])
  })
}

t.test('Processes that share a database sync each connection once', async (t) => {
  const env = {
    ...SCHEDULE_ENV,
    INTEGRATION_DB_URL: await ensureDatabase(t, join(createTempFolder(t), 'shared.db'))
  }
  const fixture = await createSyncFixture(t, { env })
  await connectPeople(fixture, 3)
  let ahead = 0
  const there = await buildTestApp(
    t,
    { ...buildSandboxEnv(fixture.sandbox.url), ATLASSIAN_HOURLY_POINTS: '100000000', ...env },
    () => Date.now() + ahead
  )
  for (let turn = 1; turn <= 3; turn++) {
    fixture.advanceTime(INTERVAL_MS)
    ahead += INTERVAL_MS
    await Promise.all([
      getSyncScheduler(fixture.app).runNow(),
      getSyncScheduler(there.app).runNow(),
      getSyncScheduler(fixture.app).runNow(),
      getSyncScheduler(there.app).runNow()
    ])
    for (const owner of [1, 2, 3]) {
      for (const product of ['jira', 'confluence'] as const) {
        await waitFor(async () =>
          (await listRuns(fixture, product, owner)).every(({ state }) => state === 'succeeded')
        )
        t.equal((await listRuns(there, product, owner)).length, 1 + turn)
      }
    }
  }
})

t.test('With SYNC_INTERVAL=0 a requeued run still continues', async (t) => {
  const fixture = await createSyncFixture(t)
  await fixture.sandbox.admin('faults', {
    kind: 'status',
    status: 429,
    headers: { 'retry-after': '3600' },
    match: { path: '/ex/jira/' }
  })
  const id = await startSync(fixture.app, 'jira')
  await waitFor(async () => (await getRun(fixture, 'jira', id)).state === 'parked')
  fixture.advanceTime(DAY_MS)
  await getSyncScheduler(fixture.app).runNow()
  t.match(await waitForRun(fixture.app, 'jira', id), { state: 'succeeded' })
})
