import t from 'tap'
import { synced } from '../helper.ts'
import {
  callsOf,
  copy,
  lanes,
  list,
  PAGES,
  placesFor,
  renameLast,
  run,
  settled,
  shared,
  SIZES,
  start,
  undisturbed,
  upTo,
  type Lane,
  type Place
} from './faults-helper.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
/** A wait is longer than was asked for by this much at most. */
const SLACK_MS = 5_000

/** A wait that is too long to be waited. `until` is when it is over. */
interface Kind {
  title: string
  status: number
  headers: (now: number) => Record<string, string>
  until: (now: number) => number
}

const date = (at: number) => new Date(at).toISOString()
const minute = (at: number) => Math.floor(at / MINUTE_MS) * MINUTE_MS
const written = (at: number) => `${date(at).slice(0, 16)}Z`
const at = (ms: number) => (now: number) => now + ms
const quota = (reason: string): Kind => ({
  title: `429 for ${reason}, whose reset is to be preferred`,
  status: 429,
  headers: (now) => ({
    'Retry-After': '3600',
    'RateLimit-Reason': reason,
    'X-RateLimit-Reset': written(now + 20 * MINUTE_MS),
    'X-RateLimit-Remaining': '0'
  }),
  until: (now) => minute(now + 20 * MINUTE_MS)
})

const KINDS: Kind[] = [
  {
    title: '429 with Retry-After in seconds',
    status: 429,
    headers: () => ({ 'Retry-After': '3600' }),
    until: at(HOUR_MS)
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
    headers: (now) => ({ 'X-RateLimit-Reset': date(now + 20 * MINUTE_MS) }),
    until: at(20 * MINUTE_MS)
  },
  {
    title: '429 with X-RateLimit-Reset without seconds',
    status: 429,
    headers: (now) => ({ 'X-RateLimit-Reset': written(now + 20 * MINUTE_MS) }),
    until: (now) => minute(now + 20 * MINUTE_MS)
  },
  {
    title: '429 with both, of which the later counts',
    status: 429,
    headers: (now) => ({ 'Retry-After': '60', 'X-RateLimit-Reset': date(now + 20 * MINUTE_MS) }),
    until: at(20 * MINUTE_MS)
  },
  quota('jira-quota-global-based'),
  quota('confluence-quota-tenant-based'),
  {
    title: '429 for a burst',
    status: 429,
    headers: () => ({ 'Retry-After': '60', 'RateLimit-Reason': 'jira-burst-based' }),
    until: at(MINUTE_MS)
  },
  {
    title: '429 of the gateway',
    status: 429,
    headers: (now) => ({
      'X-Failure-Category': 'FAILURE_CLIENT_RATE_LIMIT',
      'X-RateLimit-Limit': '360000',
      'X-RateLimit-Remaining': '0',
      'X-RateLimit-Reset': written(now + 20 * MINUTE_MS)
    }),
    until: (now) => minute(now + 20 * MINUTE_MS)
  },
  {
    title: '429 with beta twins, which mean nothing yet',
    status: 429,
    headers: () => ({
      'Retry-After': '60',
      'Beta-Retry-After': '3600',
      'X-Beta-RateLimit-Reason': 'jira-quota-tenant-based'
    }),
    until: at(MINUTE_MS)
  },
  {
    title: '503 with a long Retry-After',
    status: 503,
    headers: () => ({ 'Retry-After': '60' }),
    until: at(MINUTE_MS)
  }
]

const rows = KINDS.flatMap((kind, turn) => placesFor(turn).map((place) => ({ kind, place })))

t.test(
  `D8 ${rows.length} times a wait at one page of a full listing is too long: the run is parked until then, goes on there and succeeds`,
  async (t) => {
    // Time is moved for all that a service does, so each works at one product at a time.
    await shared(
      (await lanes(t, 6)).filter((_, i) => i % 4 === 0 || i % 4 === 3),
      rows,
      async (lane, { kind, place }) => {
        const { here, product } = lane
        const { world, admin } = here.sandbox
        const title = `${kind.title} at ${place.path} ${place.k}`
        const [before, isRenamed] = [
          await list(here, place.collection),
          await renameLast(lane, place.collection)
        ]
        const [now, logged] = [world.now(), world.stats.read().log.length]
        await admin('faults', {
          kind: 'status',
          status: kind.status,
          headers: kind.headers(now),
          match: { path: place.path },
          skip: place.k - 1
        })
        const id = await start(here.app, product)
        const parked = await settled(here, product, id)
        t.match(
          parked,
          {
            state: 'parked',
            error: { code: 'upstream_rate_limited', detail: /goes on by itself/ },
            counts: { seen: upToNow(place), added: 0, changed: 0, removed: 0, held: 0 },
            finished_at: null
          },
          title
        )
        t.same(parked.failures, [])
        const wait = Date.parse(parked.next_run_at) - kind.until(now)
        t.ok(
          wait >= 0 && wait <= SLACK_MS,
          `${title}: until the time that was named, and ${wait} ms`
        )
        t.same(await list(here, place.collection), before, `${title}: the list is what it was`)
        here.pass(kind.until(now) - world.now() - 1_000)
        t.equal(await start(here.app, product), id, `${title}: whoever asks joins it`)
        await new Promise((resolve) => setTimeout(resolve, 30))
        t.equal(
          (await run(here, product, id)).state,
          'parked',
          `${title}: and nothing is asked before the time`
        )
        here.pass(SLACK_MS)
        await start(here.app, product)
        const {
          state,
          error,
          failures,
          counts: { points, upstream_calls: calls, ...counts }
        } = await synced(here.app, product, id)
        const { items } = undisturbed(product)
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
          `${title}: and then it succeeds`
        )
        t.equal(readBy(lane, logged), once(lane), `${title}: having read each page once`)
        const after = await list(here, place.collection)
        t.ok(
          after.length === SIZES[place.collection] && isRenamed(after),
          `${title}: and the list is right`
        )
      }
    )
  }
)

t.test(
  'A part that failed before a run was parked is tried again when it goes on, and is no failure any more',
  async (t) => {
    const [lane] = (await lanes(t, 1)) as [Lane]
    const { here } = lane
    await here.sandbox.admin('faults', {
      kind: 'status',
      status: 403,
      match: { path: '/project/search' }
    })
    await here.sandbox.admin('faults', {
      kind: 'status',
      status: 429,
      headers: { 'Retry-After': '60' },
      match: { path: '/search/jql' }
    })
    const id = await start(here.app, 'jira')
    t.match(await settled(here, 'jira', id), {
      state: 'parked',
      failures: [{ collection: 'projects', code: 'upstream_refused' }]
    })
    here.pass(2 * MINUTE_MS)
    await start(here.app, 'jira')
    const ended = await synced(here.app, 'jira', id)
    t.match(ended, { state: 'succeeded', error: null, counts: { seen: undisturbed('jira').items } })
    t.same(ended.failures, [])
  }
)

t.test(
  'A cursor that Atlassian no longer takes begins anew, once, and nothing is lost for it',
  async (t) => {
    for (const lane of await lanes(t, 1)) {
      const collection = lane.product === 'jira' ? 'projects' : 'pages'
      const path = lane.product === 'jira' ? '/project/search' : '/api/v2/pages'
      const { admin } = lane.here.sandbox
      await admin('faults', { kind: 'status', status: 403, match: { path }, skip: 1 })
      t.match(await copy(lane), { state: 'partial' })
      await admin('faults', { kind: 'status', status: 400, match: { path } })
      const { state, counts } = await copy(lane)
      t.match(
        { state, ...counts },
        {
          state: 'succeeded',
          seen: undisturbed(lane.product).items,
          removed: 0,
          upstream_calls: undisturbed(lane.product).calls + 1
        },
        'it begins anew'
      )
      await admin('faults', { kind: 'status', status: 403, match: { path }, skip: 1 })
      t.match(await copy(lane), { state: 'partial' })
      await admin('faults', { kind: 'status', status: 400, match: { path }, times: 2 })
      t.match(
        await copy(lane),
        { state: 'partial', error: { code: 'upstream_refused' }, counts: { removed: 0 } },
        'but not again and again'
      )
      t.equal((await list(lane.here, collection)).length, SIZES[collection])
      t.match(await copy(lane), { state: 'succeeded', counts: { removed: 0 } })
    }
  }
)

/** Items that a run has read up to a place: what comes before its collection, and in it. */
function upToNow(place: Place): number {
  const first = place.product === 'jira' ? 'projects' : 'spaces'
  return (place.collection === first ? 0 : SIZES[first]) + upTo(place).items
}

/** Pages that were read since. Counting and searching are no reading: they are done again by whoever goes on. */
function readBy({ here, product }: Lane, since: number): number {
  return here.sandbox.world.stats
    .read()
    .log.slice(since)
    .filter(
      ({ path, status }) =>
        path.includes(`/ex/${product}/`) && status === 200 && !/count|jql/.test(path)
    ).length
}

function once({ product }: Lane): number {
  return product === 'jira' ? callsOf('projects') + PAGES : callsOf('spaces') + callsOf('pages')
}
