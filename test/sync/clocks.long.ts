import t from 'tap'
import { DANA } from '../../src/sandbox/oauth/users.ts'
import { pickByScale } from '../auth/helper.ts'
import { Browser, waitForRun, PRODUCTS, waitFor } from '../helper.ts'
import { ACME } from '../sandbox/helper.ts'
import { MINUTE_MS, HOUR_MS } from '../time.ts'
import {
  createSyncFixture,
  getProduct,
  getRun,
  startSync,
  type SyncFixture
} from './time-helper.ts'
import { readStoredState, fetchExpectedState } from './expected-state.ts'
import { getSyncScheduler } from '../jobs.ts'

const SIZES = { projects: 2, issues: 20, spaces: 2, pages: 20 }
const TITLE_FIELDS = { issues: 'summary', pages: 'title' } as const
const ITEM_COLLECTIONS = ['issues', 'pages'] as const
const CALL_PATTERNS = {
  issues: /(search\/jql|approximate-count|issue\/bulkfetch|\/issue\/\d+)$/,
  pages: /(\/rest\/api\/search|\/v2\/pages(\/\d+)?)$/,
  projects: /\/project\//,
  spaces: /\/v2\/spaces/
}
const NOON_MS = Date.UTC(2026, 10, 25, 12)

/** Uses the service's token, so the clocks must agree at this point. */
async function assertSameState(
  { app, sandbox, setClockOffset }: SyncFixture,
  what: string
): Promise<void> {
  setClockOffset(0)
  t.same(await readStoredState(app, 1), await fetchExpectedState(app, sandbox, 1, ACME), what)
}
const editItem = async (
  { sandbox: { admin } }: SyncFixture,
  items: (typeof ITEM_COLLECTIONS)[number],
  id = '',
  text = ''
) => await admin(`${items}/${id}`, { [TITLE_FIELDS[items]]: text })

/** Syncs both products incrementally. @returns the number of calls to Atlassian by kind of item */
async function syncIncrementally(fixture: SyncFixture): Promise<Record<string, number>> {
  const log = await fixture.recordCalls(async () => {
    for (const product of PRODUCTS) {
      t.match(await fixture.runSync(product, 'incremental'), { state: 'succeeded' })
    }
  })
  return Object.fromEntries(
    Object.entries(CALL_PATTERNS).map(([name, path]) => [
      name,
      log.filter((call) => path.test(call.path)).length
    ])
  )
}

/**
 * Positions of items. Search lag differs by item: it is longest for the first two and shortest for
 * the next two.
 */
const OUT_OF_ORDER_POSITIONS = [18, 13, 1, 7, 15, 8]

interface ClockSetting {
  zone: string
  aheadMin?: number
  lagS?: number
  at?: number
}

/** Zones east of Greenwich have a minus sign in this notation. */
const offsetSettings: ClockSetting[] = Array.from({ length: 27 }, (_, i) => i - 12).map(
  (hours) => ({
    zone: `Etc/GMT${hours > 0 ? '-' : '+'}${Math.abs(hours)}`,
    lagS: 180
  })
)
const CLOCK_SETTINGS: ClockSetting[] = [
  { zone: 'Etc/GMT+12', aheadMin: -10, lagS: 180 },
  // The hour that occurs twice.
  { zone: 'Europe/Riga', aheadMin: 2, lagS: 180, at: Date.UTC(2026, 9, 25, 0, 56) },
  { zone: 'Pacific/Kiritimati', aheadMin: -60, lagS: 600 },
  ...(pickByScale(0, 1) === 0
    ? []
    : [
        // The hour that does not occur.
        { zone: 'Europe/Riga', aheadMin: -2, at: Date.UTC(2026, 2, 29, 0, 56) },
        { zone: 'Pacific/Kiritimati', aheadMin: 10, lagS: 180 },
        ...offsetSettings
      ])
]

for (const { zone, aheadMin = 0, lagS = 0, at = NOON_MS } of CLOCK_SETTINGS) {
  const title =
    `Loses and duplicates nothing with account zone ${zone}, clock offset ${aheadMin} ` +
    `min and search lag ${lagS} s (${new Date(at).toISOString()})`
  t.test(title, async (t) => {
    const fixture = await createSyncFixture(t, {
      startAtMs: at + 5_000,
      sandbox: { sizes: SIZES, users: [{ ...DANA, timeZone: zone }], indexLagMs: lagS * 1_000 }
    })
    const [site] = fixture.sandbox.state.sites
    fixture.setClockOffset(aheadMin * MINUTE_MS)
    const log = await fixture.recordCalls(async () => {
      // All within one minute, with syncs in between.
      for (const text of ['First', 'Second', 'Third']) {
        for (const items of ITEM_COLLECTIONS) {
          for (const i of [3, text.length]) {
            await editItem(fixture, items, site?.[items].at(i)?.id, `${text} ${i}`)
          }
        }
        await syncIncrementally(fixture)
      }
      await fixture.sandbox.admin('issues', {
        project: site?.projects.at(0)?.id ?? '',
        summary: 'New'
      })
      await fixture.sandbox.admin('pages', { space_id: site?.spaces.at(0)?.id ?? '', title: 'New' })
      for (let step = 0; step < 26; step++) {
        const item = step % 2 === 0 ? OUT_OF_ORDER_POSITIONS[step / 2] : undefined
        if (item !== undefined) {
          for (const items of ITEM_COLLECTIONS) {
            await editItem(fixture, items, site?.[items].at(item)?.id, 'Later')
          }
        }
        fixture.advanceTime(Math.max(10, lagS / 12) * 1_000)
        await syncIncrementally(fixture)
      }
    })
    t.notOk(
      log.some(({ path }) => path.endsWith('approximate-count')),
      'no full listing'
    )
    await assertSameState(fixture, "the lists equal Atlassian's data")
    t.same(
      await syncIncrementally(fixture),
      { issues: 1, pages: 1, projects: 1, spaces: 1 },
      'calls of a sync without changes'
    )
  })
}

t.test(
  'A sync without changes takes at most three calls, also after hundreds of changes within a minute',
  async (t) => {
    const fixture = await createSyncFixture(t, {
      startAtMs: NOON_MS + 5_000,
      sandbox: { sizes: { projects: 2, issues: 300, spaces: 2, pages: 500 } }
    })
    const [site] = fixture.sandbox.state.sites
    for (let i = 0; i < 250; i++) {
      site?.issues.change(i, { summary: `All at once ${i}` })
      // Search does not return archived pages.
      if (site?.pages.at(i)?.status === 'current') {
        site.pages.change(i, { title: `All at once ${i}` })
      }
    }
    const first = await syncIncrementally(fixture)
    t.equal(first.issues, 3, 'they are read')
    await assertSameState(fixture, 'all of them')
    for (const minutes of [0, 1, 16]) {
      fixture.advanceTime(minutes * MINUTE_MS)
      t.same(
        await syncIncrementally(fixture),
        { issues: 3, pages: 1, projects: 1, spaces: 1 },
        `${minutes} minutes later`
      )
    }
  }
)

t.test('The next incremental sync copies changes made during the first listing', async (t) => {
  const fixture = await createSyncFixture(t, {
    products: [],
    sandbox: { sizes: { projects: 1, issues: 150, spaces: 1, pages: 300 } }
  })
  const [site] = fixture.sandbox.state.sites
  for (const product of PRODUCTS) {
    const [items, path, page] =
      product === 'jira'
        ? (['issues', '/search/jql', 100] as const)
        : (['pages', '/v2/pages', 250] as const)
    const [listed, last] = [site?.[items].at(1)?.id, site?.[items].at(page + 2)?.id]
    await fixture.sandbox.admin('faults', {
      kind: 'delay',
      delay_ms: 300,
      match: { path },
      skip: 1
    })
    await new Browser(fixture.app).connect(product)
    const [{ id }] = (await fixture.app.inject(`/integrations/${product}/sync/runs`)).json()
    await waitFor(async () => (await getRun(fixture, product, id)).counts.seen > page)
    await editItem(fixture, items, listed, 'Behind its back')
    // Later changes are much newer, so the newest visible change is not the missed one.
    fixture.advanceTime(30 * MINUTE_MS)
    await editItem(fixture, items, last, 'Before its eyes')
    t.match(await waitForRun(fixture.app, product, id), { state: 'succeeded' })
    t.not(
      (await fixture.findItem(items, listed ?? ''))?.[TITLE_FIELDS[items]],
      'Behind its back',
      'the change was not visible'
    )
    t.match(await fixture.findItem(items, last ?? ''), {
      [TITLE_FIELDS[items]]: 'Before its eyes'
    })
    t.match(await fixture.runSync(product, 'incremental'), {
      state: 'succeeded',
      counts: { changed: 1 }
    })
  }
  await assertSameState(fixture, 'everything is there')
})

t.test('Loses nothing when the search index stops for 90 minutes during syncs', async (t) => {
  const fixture = await createSyncFixture(t, { sandbox: { sizes: SIZES } })
  for (const items of ITEM_COLLECTIONS) {
    await editItem(fixture, items, (await fixture.listNames(items))[1], 'Seen at once')
  }
  await syncIncrementally(fixture)
  await fixture.sandbox.admin('lag', { ms: 90 * MINUTE_MS })
  for (const items of ITEM_COLLECTIONS) {
    await editItem(fixture, items, (await fixture.listNames(items))[2], 'Seen late')
  }
  for (let i = 0; i < 4; i++) {
    fixture.advanceTime(25 * MINUTE_MS)
    await syncIncrementally(fixture)
  }
  await assertSameState(fixture, 'everything is there')
})

t.test('A full sync reads everything after the clock was set back by an hour', async (t) => {
  const fixture = await createSyncFixture(t, { sandbox: { sizes: SIZES } })
  fixture.setClockOffset(-HOUR_MS)
  for (const product of PRODUCTS) {
    for (let i = 0; i < 2; i++) {
      t.match(
        await fixture.runSync(product),
        { state: 'succeeded', counts: { seen: 22, unchanged: 22 } },
        product
      )
    }
  }
})

t.test('A parked run that resumes with a clock one hour behind misses nothing', async (t) => {
  const fixture = await createSyncFixture(t, { sandbox: { sizes: SIZES } })
  fixture.setClockOffset(-HOUR_MS)
  for (const items of ITEM_COLLECTIONS) {
    const product = getProduct(items)
    const [before, first, second] = await fixture.listNames(items)
    await editItem(fixture, items, before, 'Before')
    await syncIncrementally(fixture)
    fixture.advanceTime(20 * MINUTE_MS)
    await editItem(fixture, items, first, 'First')
    await fixture.sandbox.admin('faults', {
      kind: 'status',
      status: 429,
      headers: { 'retry-after': '60' },
      match: { path: product === 'jira' ? '/search/jql' : '/rest/api/search' }
    })
    const id = await startSync(fixture.app, product, 'incremental')
    await waitFor(async () => (await getRun(fixture, product, id)).state === 'parked')
    fixture.advanceTime(20 * MINUTE_MS)
    await editItem(fixture, items, second, 'Second')
    await getSyncScheduler(fixture.app).runNow()
    t.match(await waitForRun(fixture.app, product, id), {
      state: 'succeeded',
      counts: { changed: 2 }
    })
  }
  await assertSameState(fixture, 'everything is there')
})
