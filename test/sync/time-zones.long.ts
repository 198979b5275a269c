import t, { type Test } from 'tap'
import {
  Browser,
  buildTestApp,
  OAUTH_CLIENTS,
  buildSandboxEnv,
  waitForRun,
  PRODUCTS
} from '../helper.ts'
import { ACME, startSandbox } from '../sandbox/helper.ts'
import { DANA } from '../../src/sandbox/oauth/users.ts'
import { MINUTE_MS, HOUR_MS } from '../time.ts'
import { readStoredState, fetchExpectedState } from './expected-state.ts'

const SIZES = { projects: 2, issues: 20, spaces: 2, pages: 20 }
const ISSUE_CALLS = /(search\/jql|approximate-count|issue\/bulkfetch|\/myself)$/
const PAGE_CALLS = /(\/wiki\/rest\/api\/.*|\/wiki\/api\/v2\/pages)$/

/** Clock offset, account time zone and search lag. */
interface TimeZoneSetting {
  zone?: string
  skewMs?: number
  lagMs?: number
  start?: number
}

/**
 * A service with both products connected and copied once; its clock may differ from Atlassian's.
 */
async function createTimeZoneFixture(
  t: Test,
  { zone = 'Etc/UTC', skewMs = 0, lagMs = 0, start = Date.UTC(2026, 10, 25, 12) }: TimeZoneSetting
) {
  const from = Date.now()
  let ahead = 0
  let shift = skewMs
  const now = () => start + Date.now() - from + ahead
  const sandbox = await startSandbox(t, {
    clients: OAUTH_CLIENTS,
    sizes: SIZES,
    users: [{ ...DANA, timeZone: zone }],
    now,
    indexLagMs: lagMs,
    burst: 1_000_000,
    hourlyPoints: 1_000_000
  })
  const { app } = await buildTestApp(
    t,
    { ...buildSandboxEnv(sandbox.url), ATLASSIAN_HOURLY_POINTS: '1000000' },
    () => now() + shift
  )
  for (const [i, product] of PRODUCTS.entries()) {
    await new Browser(app).connect(product)
    t.match(await waitForRun(app, product, i + 1), { state: 'succeeded' })
  }
  let runs = PRODUCTS.length
  return {
    app,
    sandbox,
    advanceTime: (ms: number) => {
      ahead += ms
    },
    stepClockBack: (ms: number) => {
      shift -= ms
    },
    async syncIncrementally(): Promise<Array<Record<string, any>>> {
      const ended = []
      for (const product of PRODUCTS) {
        await app.inject({ method: 'POST', url: `/integrations/${product}/sync?mode=incremental` })
        ended.push(await waitForRun(app, product, ++runs))
      }
      t.ok(
        ended.every(({ state }) => state === 'succeeded'),
        JSON.stringify(ended.map(({ error }) => error))
      )
      return ended
    },
    /** Counts calls to Atlassian for issues and for pages since its last call. */
    countCalls: (() => {
      let before: Record<string, number> = {}
      return () => {
        const now = sandbox.state.stats.snapshot().calls
        const since = (pattern: RegExp) =>
          Object.keys(now)
            .filter((label) => pattern.test(label))
            .reduce((sum, label) => sum + (now[label] ?? 0) - (before[label] ?? 0), 0)
        const counted = { issues: since(ISSUE_CALLS), pages: since(PAGE_CALLS) }
        before = now
        return counted
      }
    })(),
    async assertSameState(what: string): Promise<void> {
      t.same(await readStoredState(app, 1), await fetchExpectedState(app, sandbox, 1, ACME), what)
    }
  }
}

/**
 * Changes several items, twice within a minute with a sync in between, and lets the index catch
 * up.
 */
async function assertNothingLost(
  t: Test,
  fixture: Awaited<ReturnType<typeof createTimeZoneFixture>>,
  what: string
): Promise<void> {
  const {
    sandbox: { state, admin },
    advanceTime,
    syncIncrementally,
    assertSameState
  } = fixture
  const [site] = state.sites
  const page = (i: number) => site?.pages.at(i)?.id ?? ''
  const issue = (i: number) => site?.issues.at(i)?.id ?? ''
  for (let round = 0; round < 2; round++) {
    advanceTime(7 * MINUTE_MS)
    await admin(`pages/${page(3)}`, { title: `First ${round}` })
    await admin(`issues/${issue(3)}`, { summary: `First ${round}` })
    await syncIncrementally()
    await admin(`pages/${page(3)}`, { title: `Second ${round}` })
    await admin(`pages/${page(4)}`, { title: `Beside ${round}` })
    await admin(`issues/${issue(3)}`, { summary: `Second ${round}` })
    await admin('issues', { project: site?.projects.at(0)?.id, summary: `New ${round}` })
    await admin('pages', { space_id: site?.spaces.at(0)?.id, title: `New ${round}` })
    await syncIncrementally()
    advanceTime(4 * MINUTE_MS)
    await syncIncrementally()
  }
  await assertSameState(`${what}: nothing is lost or duplicated`)
  fixture.countCalls()
  await syncIncrementally()
  const { issues, pages } = fixture.countCalls()
  t.ok(
    issues <= 3 && pages <= 3,
    `${what}: a run without changes takes ${issues} calls for issues and ${pages} for pages`
  )
}

t.test('Incremental syncs lose nothing in any account time zone', async (t) => {
  const zones = [
    'Etc/GMT+12',
    'America/St_Johns',
    'Etc/UTC',
    'Asia/Kathmandu',
    'Pacific/Kiritimati'
  ]
  for (const zone of zones) {
    await assertNothingLost(t, await createTimeZoneFixture(t, { zone }), zone)
  }
  // The hour that occurs twice, and the hour that does not occur.
  for (const start of [Date.UTC(2026, 9, 25, 0, 20), Date.UTC(2026, 2, 29, 0, 45)]) {
    await assertNothingLost(
      t,
      await createTimeZoneFixture(t, { zone: 'Europe/Riga', start }),
      `Riga, ${new Date(start).toISOString()}`
    )
  }
})

t.test('Copies items that search shows three minutes late', async (t) => {
  await assertNothingLost(
    t,
    await createTimeZoneFixture(t, { lagMs: 3 * MINUTE_MS }),
    'a late index'
  )
})

t.test('D10 A wrong or reset clock loses nothing', async (t) => {
  for (const minutes of [-10, -2, 2, 10]) {
    await assertNothingLost(
      t,
      await createTimeZoneFixture(t, { skewMs: minutes * MINUTE_MS, lagMs: MINUTE_MS }),
      `${minutes} min`
    )
  }
  const fixture = await createTimeZoneFixture(t, {})
  fixture.stepClockBack(HOUR_MS)
  await assertNothingLost(t, fixture, 'set back by an hour')
})

t.test('The next sync copies changes made during a long first listing', async (t) => {
  const sandbox = await startSandbox(t, {
    clients: OAUTH_CLIENTS,
    sizes: { ...SIZES, pages: 600 },
    indexLagMs: 0,
    burst: 1_000_000,
    hourlyPoints: 1_000_000
  })
  const { app } = await buildTestApp(t, buildSandboxEnv(sandbox.url))
  await sandbox.admin('faults', {
    kind: 'delay',
    delay_ms: 400,
    match: { path: '/wiki/api/v2/pages' },
    skip: 2,
    times: 1
  })
  await new Browser(app).connect('jira')
  await waitForRun(app, 'jira')
  await new Browser(app).connect('confluence')
  while ((await app.inject('/integrations/confluence/sync/runs/2')).json().counts.seen < 250) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await sandbox.admin(`pages/${sandbox.state.sites[0]?.pages.at(0)?.id}`, {
    title: 'Changed behind its back'
  })
  t.match(await waitForRun(app, 'confluence', 2), { state: 'succeeded' })
  await app.inject({ method: 'POST', url: '/integrations/confluence/sync' })
  t.match(await waitForRun(app, 'confluence', 3), { state: 'succeeded', counts: { changed: 1 } })
  t.same(await readStoredState(app, 1), await fetchExpectedState(app, sandbox, 1, ACME))
})
