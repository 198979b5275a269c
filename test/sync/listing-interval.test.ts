import t from 'tap'
import { createConnectionPlans, toPlannedRow } from '../../src/sync/connection-plans.ts'
import { waitFor } from '../helper.ts'
import { getSyncScheduler } from '../jobs.ts'
import { HOUR_MS, MINUTE_MS } from '../time.ts'
import type { JsonObject } from '../types.ts'
import { createSyncFixture } from './time-helper.ts'

const SIZES = { projects: 3, issues: 5, spaces: 2, pages: 4 }
/** The default of the setting, which the fixture replaces. */
const LISTING_ENV = { SYNC_LIST_INTERVAL: '3600' }
const createFixture = async (t: Parameters<typeof createSyncFixture>[0], env = {}) =>
  await createSyncFixture(t, { env: { ...LISTING_ENV, ...env }, sandbox: { sizes: SIZES } })

for (const { product, parents, listPath } of [
  { product: 'jira', parents: 'projects', listPath: '/project/search' },
  { product: 'confluence', parents: 'spaces', listPath: '/api/v2/spaces' }
] as const) {
  t.test(
    `A ${product} run without changes costs one call, and two when ${parents} are due`,
    async (t) => {
      const fixture = await createFixture(t)
      const countListings = async (act: () => Promise<unknown>) =>
        (await fixture.recordCalls(act)).filter(({ path }) => path.endsWith(listPath)).length
      for (let minutes = 0; minutes < 60; minutes += 15) {
        t.match(
          await fixture.runSync(product, 'incremental'),
          { state: 'succeeded', counts: { upstream_calls: 1 } },
          `after ${minutes} minutes`
        )
        fixture.advanceTime(15 * MINUTE_MS)
      }
      for (let hour = 1; hour <= 3; hour++) {
        t.match(await fixture.runSync(product, 'due'), {
          state: 'succeeded',
          counts: { upstream_calls: 2 }
        })
        t.equal(await countListings(async () => await fixture.runSync(product, 'due')), 0)
        fixture.advanceTime(HOUR_MS)
      }
    }
  )
}

t.test('An issue of an unknown project has the projects listed in the same run', async (t) => {
  const fixture = await createFixture(t)
  await fixture.sandbox.admin('projects', { key: 'NEWP', name: 'Brand new' })
  t.match(
    await fixture.runSync('jira', 'incremental'),
    { counts: { added: 0, upstream_calls: 1 } },
    'a project without issues waits for the next listing'
  )
  await fixture.sandbox.admin('issues', { project: 'NEWP', summary: 'Its first issue' })
  const run = await fixture.runSync('jira', 'incremental')
  t.match(run, { state: 'succeeded', counts: { added: 2 }, failures: [] })
  t.match(await fixture.findItem('projects', 'NEWP'), { name: 'Brand new' })
  await fixture.sandbox.admin('issues', { project: 'NEWP', summary: 'Its second issue' })
  const calls = await fixture.recordCalls(async () => await fixture.runSync('jira', 'incremental'))
  t.equal(calls.filter(({ path }) => path.endsWith('/project/search')).length, 0)
})

t.test('A page of an unknown space has the spaces listed in the same run', async (t) => {
  const fixture = await createFixture(t)
  const { id } = (await fixture.sandbox.admin('spaces', { key: 'NEWS', name: 'Brand new' })) as {
    id: string
  }
  await fixture.sandbox.admin('pages', { space_id: id, title: 'Its first page' })
  t.match(await fixture.runSync('confluence', 'incremental'), {
    state: 'succeeded',
    counts: { added: 2 },
    failures: []
  })
  const spaces = (await fixture.app.inject('/confluence/spaces/1')).json() as JsonObject[]
  t.ok(spaces.some(({ key }) => key === 'NEWS'))
  const pages = (await fixture.app.inject('/confluence/pages/1?space=NEWS')).json()
  t.equal(pages.length, 1)
})

t.test('A project that the account cannot list is not looked for again and again', async (t) => {
  const fixture = await createFixture(t)
  await fixture.sandbox.admin('projects', { key: 'HID', name: 'Not listed' })
  await fixture.sandbox.admin('spoil', {
    collection: 'projects',
    id: fixture.sandbox.state.sites[0]?.projects.findByKey('HID')?.id,
    fields: { key: null }
  })
  const addIssue = async (summary: string) => {
    await fixture.sandbox.admin('issues', { project: 'HID', summary })
    const calls = await fixture.recordCalls(
      async () => await fixture.runSync('jira', 'incremental')
    )
    return calls.filter(({ path }) => path.endsWith('/project/search')).length
  }
  t.equal(await addIssue('One'), 1)
  t.equal(await addIssue('Two'), 0)
})

t.test('A run in which only skipped parts did not fail has failed', async (t) => {
  const fixture = await createFixture(t)
  await fixture.sandbox.admin('faults', {
    kind: 'status',
    status: 403,
    match: { path: '/search/jql' }
  })
  t.match(await fixture.runSync('jira', 'incremental'), { state: 'failed' })
})

t.test(
  'The points of each kind of run are stored, and the connection says how fresh it is',
  async (t) => {
    const fixture = await createFixture(t, { SYNC_INTERVAL: '15' })
    const readCosts = async () => {
      const { routinePoints, listingPoints, fullPoints } =
        (await fixture.app.store.connections.get(1, 'jira'))?.connection ?? {}
      return { routinePoints, listingPoints, fullPoints }
    }
    const [first] = (await fixture.app.inject('/integrations/jira/sync/runs')).json()
    const full = first.counts.points
    t.ok(full >= SIZES.projects + SIZES.issues)
    t.same(await readCosts(), {
      routinePoints: null,
      listingPoints: 1 + SIZES.projects,
      fullPoints: full
    })
    const routine = await fixture.runSync('jira', 'incremental')
    t.ok(routine.counts.points > 0)
    t.same(await readCosts(), {
      routinePoints: routine.counts.points,
      listingPoints: 1 + SIZES.projects,
      fullPoints: full
    })
    await fixture.sandbox.admin('projects', { key: 'MORE' })
    fixture.advanceTime(HOUR_MS)
    const next = await fixture.runSync('jira', 'incremental')
    t.same(await readCosts(), {
      routinePoints: next.counts.points - 2 - SIZES.projects,
      listingPoints: 2 + SIZES.projects,
      fullPoints: full
    })
    const { fresh_within: freshWithin, next_sync_at: nextSyncAt } =
      await fixture.getConnection('jira')
    t.equal(freshWithin, 15 * 60 * 1.1 + 60)
    t.ok(Date.parse(nextSyncAt) - fixture.sandbox.state.now() <= freshWithin * 1_000)
    await fixture.sandbox.admin('revoke', {})
    fixture.advanceTime(2 * HOUR_MS)
    await getSyncScheduler(fixture.app).runNow()
    await waitFor(async () => (await fixture.getConnection('jira')).state === 'needs_reconnect')
    t.equal((await fixture.getConnection('jira')).fresh_within, null)
  }
)

t.test(
  'With more connections than the quota carries, intervals grow and the API says so',
  async (t) => {
    const fixture = await createFixture(t, { SYNC_INTERVAL: '15', ATLASSIAN_HOURLY_POINTS: '100' })
    const { app } = fixture
    const { runs } = app.store
    const run = await runs.claim((await runs.enqueue(1, 'jira')).run.id, 'test')
    if (run === undefined) throw new Error('Another worker has the run')
    const next = { syncDueAt: null, routinePoints: 100 }
    await runs.finish(run, run, { state: 'succeeded' }, next)
    const intervals = { routineMs: 15 * MINUTE_MS, listingMs: HOUR_MS, fullMs: 24 * HOUR_MS }
    const plans = createConnectionPlans({ ...app.siteContext, intervals })
    const current = await app.store.connections.get(1, 'jira')
    const plan = current === undefined ? undefined : await plans.get(toPlannedRow(current))
    t.ok((plan?.routineMs ?? 0) > HOUR_MS, 'a run costs as much as the quota of an hour')
    t.ok((plan?.freshWithinMs ?? 0) > (plan?.routineMs ?? 0))
  }
)
