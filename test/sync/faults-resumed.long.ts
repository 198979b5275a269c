import t from 'tap'
import { waitForRun } from '../helper.ts'
import { MINUTE_MS, HOUR_MS } from '../time.ts'
import {
  countCalls,
  runSync,
  createLanes,
  listItems,
  selectFaultPoints,
  renameLastItem,
  getRun,
  waitForRunToStop,
  distributeRows,
  SANDBOX_SIZES,
  startSync,
  countFullSync,
  countBefore,
  type SyncLane,
  type FaultPoint
} from './faults-helper.ts'

/** The maximum delay after the requested wait. */
const MAX_EXTRA_WAIT_MS = 5_000

/** A wait that parks the run. `until` is its end. */
interface ParkingCase {
  title: string
  status: number
  headers: (now: number) => Record<string, string>
  until: (now: number) => number
}

const toIsoDate = (at: number) => new Date(at).toISOString()
const floorToMinute = (at: number) => Math.floor(at / MINUTE_MS) * MINUTE_MS
const formatMinute = (at: number) => `${toIsoDate(at).slice(0, 16)}Z`
const afterNow = (ms: number) => (now: number) => now + ms
const defineQuotaCase = (reason: string): ParkingCase => ({
  title: `429 for ${reason}, whose reset is to be preferred`,
  status: 429,
  headers: (now) => ({
    'Retry-After': '3600',
    'RateLimit-Reason': reason,
    'X-RateLimit-Reset': formatMinute(now + 20 * MINUTE_MS),
    'X-RateLimit-Remaining': '0'
  }),
  // The hourly quota is restored at the full hour.
  until: (now) => Math.min(floorToMinute(now + 20 * MINUTE_MS), now - (now % HOUR_MS) + HOUR_MS)
})

const PARKING_CASES: ParkingCase[] = [
  {
    title: '429 with Retry-After in seconds',
    status: 429,
    headers: () => ({ 'Retry-After': '3600' }),
    until: afterNow(HOUR_MS)
  },
  {
    title: '429 with Retry-After as a date',
    status: 429,
    headers: (now) => ({ 'Retry-After': new Date(now + HOUR_MS).toUTCString() }),
    until: (now) => Math.floor((now + HOUR_MS) / 1000) * 1000
  },
  {
    title: '429 with X-RateLimit-Reset',
    status: 429,
    headers: (now) => ({ 'X-RateLimit-Reset': toIsoDate(now + 20 * MINUTE_MS) }),
    until: afterNow(20 * MINUTE_MS)
  },
  {
    title: '429 with X-RateLimit-Reset without seconds',
    status: 429,
    headers: (now) => ({ 'X-RateLimit-Reset': formatMinute(now + 20 * MINUTE_MS) }),
    until: (now) => floorToMinute(now + 20 * MINUTE_MS)
  },
  {
    title: '429 with both, of which the later counts',
    status: 429,
    headers: (now) => ({
      'Retry-After': '60',
      'X-RateLimit-Reset': toIsoDate(now + 20 * MINUTE_MS)
    }),
    until: afterNow(20 * MINUTE_MS)
  },
  defineQuotaCase('jira-quota-global-based'),
  defineQuotaCase('confluence-quota-tenant-based'),
  {
    title: '429 for a burst',
    status: 429,
    headers: () => ({ 'Retry-After': '60', 'RateLimit-Reason': 'jira-burst-based' }),
    until: afterNow(MINUTE_MS)
  },
  {
    title: '429 of the gateway',
    status: 429,
    headers: (now) => ({
      'X-Failure-Category': 'FAILURE_CLIENT_RATE_LIMIT',
      'X-RateLimit-Limit': '360000',
      'X-RateLimit-Remaining': '0',
      'X-RateLimit-Reset': formatMinute(now + 20 * MINUTE_MS)
    }),
    until: (now) => floorToMinute(now + 20 * MINUTE_MS)
  },
  {
    title: '429 with beta twins, which mean nothing yet',
    status: 429,
    headers: () => ({
      'Retry-After': '60',
      'Beta-Retry-After': '3600',
      'X-Beta-RateLimit-Reason': 'jira-quota-tenant-based'
    }),
    until: afterNow(MINUTE_MS)
  },
  {
    title: '503 with a long Retry-After',
    status: 503,
    headers: () => ({ 'Retry-After': '60' }),
    until: afterNow(MINUTE_MS)
  }
]

const rows = PARKING_CASES.flatMap((kind, turn) =>
  selectFaultPoints(turn).map((place) => ({ kind, place }))
)

t.test(
  `D8 ${rows.length} long waits at one page each park the run, which resumes there and succeeds`,
  async (t) => {
    // The clock moves for the whole service, so each service syncs one product at a time.
    await distributeRows(
      (await createLanes(t, 6)).filter((_, i) => i % 4 === 0 || i % 4 === 3),
      rows,
      async (lane, { kind, place }) => {
        const { service, product } = lane
        const { state: sandboxState, admin } = service.sandbox
        const title = `${kind.title} at ${place.path} ${place.callNumber}`
        const [before, isRenamed] = [
          await listItems(service, place.collection),
          await renameLastItem(lane, place.collection)
        ]
        const [now, logged] = [sandboxState.now(), sandboxState.stats.snapshot().log.length]
        await admin('faults', {
          kind: 'status',
          status: kind.status,
          headers: kind.headers(now),
          match: { path: place.path },
          skip: place.callNumber - 1
        })
        const id = await startSync(service.app, product)
        const parked = await waitForRunToStop(service, product, id)
        t.match(
          parked,
          {
            state: 'parked',
            error: { code: 'upstream_rate_limited', detail: /The run resumes/ },
            counts: { seen: countItemsUpTo(place), added: 0, changed: 0, removed: 0, held: 0 },
            finished_at: null
          },
          title
        )
        t.same(parked.failures, [])
        const wait = Date.parse(parked.next_run_at) - kind.until(now)
        t.ok(
          wait >= 0 && wait <= MAX_EXTRA_WAIT_MS,
          `${title}: until the stated time plus ${wait} ms`
        )
        t.same(
          await listItems(service, place.collection),
          before,
          `${title}: the list is unchanged`
        )
        service.advanceTime(kind.until(now) - sandboxState.now() - 1_000)
        t.equal(await startSync(service.app, product), id, `${title}: a sync request joins it`)
        await new Promise((resolve) => setTimeout(resolve, 30))
        t.equal(
          (await getRun(service, product, id)).state,
          'parked',
          `${title}: no call before that time`
        )
        service.advanceTime(MAX_EXTRA_WAIT_MS)
        await startSync(service.app, product)
        const {
          state,
          error,
          failures,
          counts: { points, upstream_calls: calls, ...counts }
        } = await waitForRun(service.app, product, id)
        const { items } = countFullSync(product)
        t.same(
          { state, error, failures, ...counts },
          {
            state: 'succeeded',
            error: null,
            failures: [],
            seen: items,
            added: 0,
            changed: 1,
            unchanged: items - 1,
            removed: 0,
            held: 0,
            skipped: 0
          },
          `${title}: then it succeeds`
        )
        t.equal(
          countPagesRead(lane, logged),
          countCallsOfOneSync(lane),
          `${title}: each page was read once`
        )
        const after = await listItems(service, place.collection)
        t.ok(
          after.length === SANDBOX_SIZES[place.collection] && isRenamed(after),
          `${title}: the list is correct`
        )
      }
    )
  }
)

t.test('A resumed run retries a failed part and clears its failure', async (t) => {
  const [lane] = (await createLanes(t, 1)) as [SyncLane]
  const { service } = lane
  await service.sandbox.admin('faults', {
    kind: 'status',
    status: 403,
    match: { path: '/project/search' }
  })
  await service.sandbox.admin('faults', {
    kind: 'status',
    status: 429,
    headers: { 'Retry-After': '60' },
    match: { path: '/search/jql' }
  })
  const id = await startSync(service.app, 'jira')
  t.match(await waitForRunToStop(service, 'jira', id), {
    state: 'parked',
    failures: [{ collection: 'projects', code: 'upstream_refused' }]
  })
  service.advanceTime(2 * MINUTE_MS)
  await startSync(service.app, 'jira')
  const ended = await waitForRun(service.app, 'jira', id)
  t.match(ended, {
    state: 'succeeded',
    error: null,
    counts: { seen: countFullSync('jira').items }
  })
  t.same(ended.failures, [])
})

t.test('An expired cursor restarts the listing once, and nothing is lost', async (t) => {
  for (const lane of await createLanes(t, 1)) {
    const collection = lane.product === 'jira' ? 'projects' : 'pages'
    const path = lane.product === 'jira' ? '/project/search' : '/api/v2/pages'
    const { admin } = lane.service.sandbox
    await admin('faults', { kind: 'status', status: 403, match: { path }, skip: 1 })
    t.match(await runSync(lane), { state: 'partial' })
    await admin('faults', { kind: 'status', status: 400, match: { path } })
    const { state, counts } = await runSync(lane)
    t.match(
      { state, ...counts },
      {
        state: 'succeeded',
        seen: countFullSync(lane.product).items,
        removed: 0,
        upstream_calls: countFullSync(lane.product).calls + 1
      },
      'the listing restarts'
    )
    await admin('faults', { kind: 'status', status: 403, match: { path }, skip: 1 })
    t.match(await runSync(lane), { state: 'partial' })
    await admin('faults', { kind: 'status', status: 400, match: { path }, times: 2 })
    t.match(
      await runSync(lane),
      { state: 'partial', error: { code: 'upstream_refused' }, counts: { removed: 0 } },
      'but not repeatedly'
    )
    t.equal((await listItems(lane.service, collection)).length, SANDBOX_SIZES[collection])
    t.match(await runSync(lane), { state: 'succeeded', counts: { removed: 0 } })
  }
})

/** Items read up to a point: those of earlier collections, and of its own. */
function countItemsUpTo(place: FaultPoint): number {
  const first = place.product === 'jira' ? 'projects' : 'spaces'
  return (place.collection === first ? 0 : SANDBOX_SIZES[first]) + countBefore(place).items
}

/** Pages read since then, without counts, and without searches, which overlap when they resume. */
function countPagesRead({ service, product }: SyncLane, since: number): number {
  return service.sandbox.state.stats
    .snapshot()
    .log.slice(since)
    .filter(
      ({ path, status }) =>
        path.includes(`/ex/${product}/`) && status === 200 && !/count|jql/.test(path)
    ).length
}

function countCallsOfOneSync({ product }: SyncLane): number {
  return product === 'jira' ? countCalls('projects') : countCalls('spaces') + countCalls('pages')
}
