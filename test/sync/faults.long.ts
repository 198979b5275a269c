import t from 'tap'
import { UNAUTHORIZED_BODY } from '../fixtures/refresh-answers.ts'
import {
  runSync,
  countCalls,
  createLanes,
  listItems,
  selectFaultPoints,
  renameLastItem,
  distributeRows,
  SANDBOX_SIZES,
  countFullSync,
  countBefore,
  type FaultPoint
} from './faults-helper.ts'

/** refused: the part fails at once · mended: a new token helps · passes: a retry helps */
type FaultOutcome = 'refused' | 'mended' | 'passes'
interface FaultCase {
  title: string
  outcome: FaultOutcome
  /** @param now the sandbox's clock */
  fault: (now: number) => object
  /** The earliest time of the next call. */
  until?: ((now: number, refusedAt: number) => number) | undefined
}
const toIsoDate = (at: number) => new Date(at).toISOString()
const formatMinute = (at: number) => `${toIsoDate(at).slice(0, 16)}Z`
const afterNow =
  (ms: number): FaultCase['until'] =>
  (now) =>
    now + ms
const afterRefusal =
  (ms: number): FaultCase['until'] =>
  (_now, refusedAt) =>
    refusedAt + ms
const defineStatusCase = (
  title: string,
  code: number,
  outcome: FaultOutcome,
  body?: unknown
): FaultCase => ({
  title,
  outcome,
  fault: () => ({ kind: 'status', status: code, ...(body === undefined ? {} : { body }) })
})
const defineRateLimitCase = (
  title: string,
  until: FaultCase['until'],
  headers: (now: number) => object,
  code = 429
): FaultCase => ({
  title: `${code} ${title}`,
  outcome: 'passes',
  until,
  fault: (now) => ({ kind: 'status', status: code, body: 'not JSON', headers: headers(now) })
})
const defineTransientCase = (title: string, fault: object): FaultCase => ({
  title,
  outcome: 'passes',
  fault: () => fault
})

const FAULT_CASES: FaultCase[] = [
  defineStatusCase('400', 400, 'refused', { errorMessages: ['No.'], errors: {} }),
  defineStatusCase('403', 403, 'refused', { errorMessages: ['Not you.'] }),
  defineStatusCase('404', 404, 'refused', {
    errors: [{ status: 404, code: 'NOT_FOUND', title: 'Not Found', detail: null }]
  }),
  defineStatusCase('410', 410, 'refused', {
    errorMessages: ['The requested API has been removed.'],
    errors: {}
  }),
  defineStatusCase('401', 401, 'mended', UNAUTHORIZED_BODY),
  defineRateLimitCase('with Retry-After in seconds', afterRefusal(1_000), () => ({
    'Retry-After': '1'
  })),
  defineRateLimitCase('with Retry-After as a date', afterNow(1_000), (now) => ({
    'Retry-After': new Date(now + 2_000).toUTCString()
  })),
  defineRateLimitCase('with X-RateLimit-Reset', afterNow(1_000), (now) => ({
    'X-RateLimit-Reset': toIsoDate(now + 1_000)
  })),
  defineRateLimitCase('with X-RateLimit-Reset without seconds', afterNow(0), (now) => ({
    'X-RateLimit-Reset': formatMinute(now)
  })),
  defineRateLimitCase(
    'for the quota of the app, whose reset is nearer than its Retry-After',
    afterNow(0),
    (now) => ({
      'Retry-After': '3600',
      'RateLimit-Reason': 'jira-quota-global-based',
      'X-RateLimit-Reset': formatMinute(now)
    })
  ),
  defineRateLimitCase('for the quota of the tenant', afterNow(1_000), (now) => ({
    'Retry-After': '3600',
    'RateLimit-Reason': 'confluence-quota-tenant-based',
    'X-RateLimit-Reset': toIsoDate(now + 1_000)
  })),
  defineRateLimitCase('for a burst', afterRefusal(1_000), (now) => ({
    'Retry-After': '1',
    'RateLimit-Reason': 'jira-burst-based',
    'X-RateLimit-Reset': toIsoDate(now + 500)
  })),
  defineRateLimitCase('of the gateway', afterNow(1_000), (now) => ({
    'X-Failure-Category': 'FAILURE_CLIENT_RATE_LIMIT',
    'X-RateLimit-Limit': '360000',
    'X-RateLimit-Remaining': '0',
    'X-RateLimit-Reset': toIsoDate(now + 1_000)
  })),
  defineRateLimitCase('with beta twins, which mean nothing yet', afterRefusal(1_400), (now) => ({
    'Beta-Retry-After': '3600',
    'X-Beta-RateLimit-Reason': 'jira-quota-tenant-based',
    'X-Beta-RateLimit-Reset': formatMinute(now + 3_600_000)
  })),
  defineRateLimitCase('without headers', afterRefusal(1_400), () => ({})),
  defineRateLimitCase(
    'with a short Retry-After',
    afterRefusal(1_000),
    () => ({ 'Retry-After': '1' }),
    503
  ),
  defineStatusCase('503 without headers', 503, 'passes'),
  defineStatusCase('500', 500, 'passes'),
  defineStatusCase('502', 502, 'passes'),
  defineStatusCase('504', 504, 'passes'),
  defineTransientCase('a page of HTML with 200', { kind: 'html', status: 200 }),
  defineTransientCase('a page of HTML with 502', { kind: 'html', status: 502 }),
  defineTransientCase('a body that is cut off', { kind: 'truncate' }),
  defineTransientCase('no answer', { kind: 'hang' }),
  defineTransientCase('garbage', { kind: 'garbage' }),
  defineTransientCase('a connection that is dropped before the work', { kind: 'drop-before' }),
  defineTransientCase('a connection that is dropped after the work', { kind: 'drop-after' }),
  defineTransientCase('a redirect', { kind: 'redirect' }),
  defineTransientCase('an answer without end', { kind: 'huge', bytes: 33 * 1024 * 1024 })
]

const rows = FAULT_CASES.flatMap((kind, turn) =>
  selectFaultPoints(turn).map((place) => ({ kind, place }))
)

t.test(
  `D8 ${rows.length} single faults at one page each delete nothing, and the run reports the outcome`,
  async (t) => {
    await distributeRows(await createLanes(t, 6), rows, async (lane, { kind, place }) => {
      const { outcome, until = () => 0 } = kind
      const title = `${kind.title} at ${place.path} ${place.callNumber}`
      const { state, admin } = lane.service.sandbox
      const before = outcome === 'refused' ? await listItems(lane.service, place.collection) : []
      const isRenamed = await renameLastItem(lane, place.collection)
      const [now, logged] = [state.now(), state.stats.snapshot().log.length]
      await admin('faults', {
        ...kind.fault(now),
        match: { path: place.path },
        skip: place.callNumber - 1
      })
      const run = await runSync(lane)
      t.same(
        state.faults.list().filter(({ match }) => match.path === place.path),
        [],
        `${title} has happened`
      )
      t.same(summarizeRun(run), buildExpectedRun(kind, place), title)
      const log = state.stats
        .snapshot()
        .log.slice(logged)
        .filter(({ path }) => path.includes(`/ex/${place.product}/`))
      t.equal(
        new Set(log.map(({ token }) => token)).size,
        outcome === 'mended' ? 2 : 1,
        `${title}: a token is refreshed only if that helps`
      )
      const [fault = 0, next = Infinity] = log
        .filter(({ path }) => path.includes(place.path))
        .slice(place.callNumber - 1)
        .map(({ at }) => at)
      t.ok(next >= until(now, fault), `${title}: no call before the stated time`)
      const after = await listItems(lane.service, place.collection)
      if (outcome !== 'refused') {
        t.equal(after.length, SANDBOX_SIZES[place.collection])
        t.ok(isRenamed(after), `${title}: later changes are copied too`)
        return
      }
      t.same(after, before, `${title}: the list is unchanged`)
      t.same(
        summarizeRun(await runSync(lane)),
        buildExpectedResumedRun(place),
        `${title}: the next run resumes there`
      )
      t.ok(
        isRenamed(await listItems(lane.service, place.collection)),
        `${title}: and completes the copies`
      )
    })
  }
)

t.test('A run fails if all its parts are refused', async (t) => {
  for (const lane of await createLanes(t, 1)) {
    for (const path of ['/project/search', '/search/jql', '/api/v2/spaces', '/api/v2/pages']) {
      await lane.service.sandbox.admin('faults', { kind: 'status', status: 403, match: { path } })
    }
    const before = lane.service.lines().length
    const run = await runSync(lane)
    t.match(run, {
      state: 'failed',
      error: { code: 'upstream_refused', detail: /HTTP 403.*\.$/ },
      counts: { seen: 0, removed: 0, upstream_calls: lane.product === 'jira' ? 3 : 2 },
      failures: [{ remote_id: null }, { remote_id: null }]
    })
    const log = lane.service.lines().slice(before)
    t.match(
      log.filter(({ event }) => event === 'sync_error'),
      [{ run_id: run.id, error_code: 'upstream_refused' }]
    )
    t.match(
      log.find(({ event }) => event === 'upstream_error'),
      { upstream: /^127\.0\.0\.1:/, status_code: 403, trace_id: /^[\da-f]{32}$/ }
    )
    await lane.service.sandbox.admin('faults', undefined, 'DELETE')
  }
})

/** The fields of a run that the test predicts. */
function summarizeRun({
  state,
  error,
  counts: { points, ...counts },
  failures
}: Record<string, any>) {
  return {
    state,
    code: error?.code ?? null,
    failures: failures.map(({ collection, remote_id: id, code }: Record<string, any>) => [
      collection,
      id,
      code
    ]),
    ...counts
  }
}

const NO_CHANGES = { added: 0, removed: 0, held: 0, skipped: 0 }

/** The expected run. */
function buildExpectedRun({ title, outcome }: FaultCase, place: FaultPoint) {
  const { items, calls } = countFullSync(place.product)
  if (outcome !== 'refused') {
    return {
      state: 'succeeded',
      code: null,
      failures: [],
      seen: items,
      changed: 1,
      unchanged: items - 1,
      upstream_calls: calls + 1,
      ...NO_CHANGES
    }
  }
  const got = countBefore(place)
  // A 404 may stand for a rejected token, which one further call finds out.
  const proofs = title === '404' ? 1 : 0
  const seen = items - SANDBOX_SIZES[place.collection] + got.items
  return {
    state: 'partial',
    code: 'upstream_refused',
    failures: [[place.collection, null, 'upstream_refused']],
    seen,
    changed: 0,
    unchanged: seen,
    upstream_calls: calls - countCalls(place.collection) + got.calls + proofs,
    ...NO_CHANGES
  }
}

/** The expected next run, which does not read again what was read before the refusal. */
function buildExpectedResumedRun(place: FaultPoint) {
  const { items, calls } = countFullSync(place.product)
  const seen = items - countBefore(place).items
  return {
    state: 'succeeded',
    code: null,
    failures: [],
    seen,
    changed: 1,
    unchanged: seen - 1,
    upstream_calls: calls - (place.callNumber - 1),
    ...NO_CHANGES
  }
}
