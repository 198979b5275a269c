import t from 'tap'
import {
  copy,
  callsOf,
  lanes,
  list,
  PAGES,
  placesFor,
  renameLast,
  shared,
  SIZES,
  undisturbed,
  upTo,
  type Place
} from './faults-helper.ts'

/** refused: the part fails at once · mended: with a fresh token · passes: by being asked again */
type Outcome = 'refused' | 'mended' | 'passes'
interface Kind {
  title: string
  outcome: Outcome
  /** @param now of the sandbox */
  fault: (now: number) => object
  /** When it may be called again. */
  until?: (now: number, refusedAt: number) => number
}

const UNAUTHORIZED = { code: 401, message: 'Unauthorized' }
const date = (at: number) => new Date(at).toISOString()
const minute = (at: number) => `${date(at).slice(0, 16)}Z`
const at =
  (ms: number): Kind['until'] =>
  (now) =>
    now + ms
const later =
  (ms: number): Kind['until'] =>
  (_now, refusedAt) =>
    refusedAt + ms
const status = (title: string, code: number, outcome: Outcome, body?: unknown): Kind => ({
  title,
  outcome,
  fault: () => ({ kind: 'status', status: code, ...(body === undefined ? {} : { body }) })
})
const limited = (
  title: string,
  until: Kind['until'],
  headers: (now: number) => object,
  code = 429
): Kind => ({
  title: `${code} ${title}`,
  outcome: 'passes',
  until,
  fault: (now) => ({ kind: 'status', status: code, body: 'not JSON', headers: headers(now) })
})
const trouble = (title: string, fault: object): Kind => ({
  title,
  outcome: 'passes',
  fault: () => fault
})

const KINDS: Kind[] = [
  status('400', 400, 'refused', { errorMessages: ['No.'], errors: {} }),
  status('403', 403, 'refused', { errorMessages: ['Not you.'] }),
  status('404', 404, 'refused', {
    errors: [{ status: 404, code: 'NOT_FOUND', title: 'Not Found', detail: null }]
  }),
  status('410', 410, 'refused', {
    errorMessages: ['The requested API has been removed.'],
    errors: {}
  }),
  status('401', 401, 'mended', UNAUTHORIZED),
  limited('with Retry-After in seconds', later(1_000), () => ({ 'Retry-After': '1' })),
  limited('with Retry-After as a date', at(1_000), (now) => ({
    'Retry-After': new Date(now + 2_000).toUTCString()
  })),
  limited('with X-RateLimit-Reset', at(1_000), (now) => ({
    'X-RateLimit-Reset': date(now + 1_000)
  })),
  limited('with X-RateLimit-Reset without seconds', at(0), (now) => ({
    'X-RateLimit-Reset': minute(now)
  })),
  limited('for the quota of the app, whose reset is nearer than its Retry-After', at(0), (now) => ({
    'Retry-After': '3600',
    'RateLimit-Reason': 'jira-quota-global-based',
    'X-RateLimit-Reset': minute(now)
  })),
  limited('for the quota of the tenant', at(1_000), (now) => ({
    'Retry-After': '3600',
    'RateLimit-Reason': 'confluence-quota-tenant-based',
    'X-RateLimit-Reset': date(now + 1_000)
  })),
  limited('for a burst', later(1_000), (now) => ({
    'Retry-After': '1',
    'RateLimit-Reason': 'jira-burst-based',
    'X-RateLimit-Reset': date(now + 500)
  })),
  limited('of the gateway', at(1_000), (now) => ({
    'X-Failure-Category': 'FAILURE_CLIENT_RATE_LIMIT',
    'X-RateLimit-Limit': '360000',
    'X-RateLimit-Remaining': '0',
    'X-RateLimit-Reset': date(now + 1_000)
  })),
  limited('with beta twins, which mean nothing yet', later(1_400), (now) => ({
    'Beta-Retry-After': '3600',
    'X-Beta-RateLimit-Reason': 'jira-quota-tenant-based',
    'X-Beta-RateLimit-Reset': minute(now + 3_600_000)
  })),
  limited('with nothing at all', later(1_400), () => ({})),
  limited('with a short Retry-After', later(1_000), () => ({ 'Retry-After': '1' }), 503),
  status('503 with nothing at all', 503, 'passes'),
  status('500', 500, 'passes'),
  status('502', 502, 'passes'),
  status('504', 504, 'passes'),
  trouble('a page of HTML with 200', { kind: 'html', status: 200 }),
  trouble('a page of HTML with 502', { kind: 'html', status: 502 }),
  trouble('a body that is cut off', { kind: 'truncate' }),
  trouble('no answer', { kind: 'hang' }),
  trouble('garbage', { kind: 'garbage' }),
  trouble('a connection that is dropped before the work', { kind: 'drop-before' }),
  trouble('a connection that is dropped after the work', { kind: 'drop-after' }),
  trouble('a redirect', { kind: 'redirect' }),
  trouble('an answer without end', { kind: 'huge', bytes: 33 * 1024 * 1024 })
]

const rows = KINDS.flatMap((kind, turn) => placesFor(turn).map((place) => ({ kind, place })))

t.test(
  `D8 ${rows.length} times one thing goes wrong at one page of a full listing: nothing is deleted, and the run says what has become of it`,
  async (t) => {
    await shared(await lanes(t, 6), rows, async (lane, { kind, place }) => {
      const { outcome, until = () => 0 } = kind
      const title = `${kind.title} at ${place.path} ${place.k}`
      const { world, admin } = lane.here.sandbox
      const before = outcome === 'refused' ? await list(lane.here, place.collection) : []
      const isRenamed = await renameLast(lane, place.collection)
      const [now, logged] = [world.now(), world.stats.read().log.length]
      await admin('faults', { ...kind.fault(now), match: { path: place.path }, skip: place.k - 1 })
      const run = await copy(lane)
      t.same(
        world.faults.list().filter(({ match }) => match.path === place.path),
        [],
        `${title} has happened`
      )
      t.same(told(run), expected(kind, place), title)
      const log = world.stats
        .read()
        .log.slice(logged)
        .filter(({ path }) => path.includes(`/ex/${place.product}/`))
      t.equal(
        new Set(log.map(({ token }) => token)).size,
        outcome === 'mended' ? 2 : 1,
        `${title}: a token is refreshed only where that helps`
      )
      const [fault = 0, next = Infinity] = log
        .filter(({ path }) => path.includes(place.path))
        .slice(place.k - 1)
        .map(({ at }) => at)
      t.ok(next >= until(now, fault), `${title}: not called before the time`)
      const after = await list(lane.here, place.collection)
      if (outcome !== 'refused') {
        t.equal(after.length, SIZES[place.collection])
        t.ok(isRenamed(after), `${title}: and what had changed behind it is here`)
        return
      }
      t.same(after, before, `${title}: the list is what it was`)
      t.same(told(await copy(lane)), resumed(place), `${title}: the next run goes on there`)
      t.ok(isRenamed(await list(lane.here, place.collection)), `${title}: and makes it right`)
    })
  }
)

t.test('A run whose parts are all refused has failed', async (t) => {
  for (const lane of await lanes(t, 1)) {
    for (const path of [
      '/project/search',
      '/search/approximate-count',
      '/api/v2/spaces',
      '/api/v2/pages'
    ]) {
      await lane.here.sandbox.admin('faults', { kind: 'status', status: 403, match: { path } })
    }
    const before = lane.here.lines().length
    const run = await copy(lane)
    t.match(run, {
      state: 'failed',
      error: { code: 'upstream_refused', detail: /HTTP 403.*\.$/ },
      counts: { seen: 0, removed: 0, upstream_calls: 2 },
      failures: [{ remote_id: null }, { remote_id: null }]
    })
    const log = lane.here.lines().slice(before)
    t.match(
      log.filter(({ event }) => event === 'sync_error'),
      [{ run_id: run.id, error_code: 'upstream_refused' }]
    )
    t.match(
      log.find(({ event }) => event === 'upstream_error'),
      { upstream: /^127\.0\.0\.1:/, status_code: 403, trace_id: /^[\da-f]{32}$/ }
    )
    await lane.here.sandbox.admin('faults', undefined, 'DELETE')
  }
})

/** What a run says of itself, as far as it is foretold here. */
function told({ state, error, counts: { points, ...counts }, failures }: Record<string, any>) {
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

const NONE = { added: 0, removed: 0, held: 0, skipped: 0 }

/** What such a run has to say. */
function expected({ title, outcome }: Kind, place: Place) {
  const { items, calls } = undisturbed(place.product)
  // A hundred ids that are too many for one call are two calls of fifty.
  const more = title === '504' && place.path === '/issue/bulkfetch' && place.k < PAGES ? 2 : 1
  if (outcome !== 'refused') {
    return {
      state: 'succeeded',
      code: null,
      failures: [],
      seen: items,
      changed: 1,
      unchanged: items - 1,
      upstream_calls: calls + more,
      ...NONE
    }
  }
  const got = upTo(place)
  const seen = items - SIZES[place.collection] + got.items
  return {
    state: 'partial',
    code: 'upstream_refused',
    failures: [[place.collection, null, 'upstream_refused']],
    seen,
    changed: 0,
    unchanged: seen,
    upstream_calls: calls - callsOf(place.collection) + got.calls,
    ...NONE
  }
}

/** And the next one, which does not read again what was read before the refusal. */
function resumed(place: Place) {
  const { items, calls } = undisturbed(place.product)
  const seen = items - upTo(place).items
  return {
    state: 'succeeded',
    code: null,
    failures: [],
    seen,
    changed: 1,
    unchanged: seen - 1,
    upstream_calls: calls - (place.k - 1),
    ...NONE
  }
}
