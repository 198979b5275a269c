import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { startTestService, type TestService } from '../auth/helper.ts'
import {
  Browser,
  OAUTH_CLIENTS,
  CLIENT_SECRET,
  waitForRun,
  PRODUCTS,
  type Product
} from '../helper.ts'
import { HOUR_MS } from '../time.ts'

t.jobs = 5
const LISTING_PATH = 'project/search'

const getRun = async ({ app }: TestService, id: number, product: Product = 'jira') =>
  (await app.inject(`/integrations/${product}/sync/runs/${id}`)).json() as Record<string, any>
const requestSync = async ({ app }: TestService, product: Product = 'jira') =>
  (await app.inject({ method: 'POST', url: `/integrations/${product}/sync` })).json() as Record<
    string,
    any
  >
const injectRateLimit = async ({ sandbox }: TestService, headers: object, status = 429) =>
  await sandbox.admin('faults', {
    kind: 'status',
    status,
    headers,
    match: { path: LISTING_PATH },
    times: 1
  })
/** Times of the requests for the listing. */
const listRequestTimes = async ({ sandbox }: TestService) =>
  ((await sandbox.admin('stats', undefined, 'GET')).log as Array<{ at: number; path: string }>)
    .filter(({ path }) => path.includes(LISTING_PATH))
    .map(({ at }) => at)

/** Syncs until the run is parked. */
async function runSyncUntilParked(
  running: TestService,
  product: Product = 'jira'
): Promise<Record<string, any>> {
  const { id } = await requestSync(running, product)
  for (let i = 0; i < 500; i++) {
    const run = await getRun(running, id, product)
    if (run.state === 'parked') return run
    await sleep(10)
  }
  throw new Error('The run was not put aside')
}

/** A service with both products copied. */
async function startSyncedTestService(
  t: Test,
  env: NodeJS.ProcessEnv = {},
  sandbox = {}
): Promise<TestService> {
  const running = await startTestService(t, { SYNC_INTERVAL: '0', ...env }, sandbox)
  for (const [i, product] of PRODUCTS.entries()) {
    await new Browser(running.app).connect(product)
    await waitForRun(running.app, product, i + 1)
  }
  return running
}

t.test(
  'Waits out a short Retry-After, in any header format, and the run succeeds',
  { buffered: true },
  async (t) => {
    const at = (ms: number) => new Date(Date.now() + ms)
    const WAITS: Array<[ms: number, make: () => Record<string, string>, status?: number]> = [
      [0, () => ({ 'retry-after': '0' })],
      [2_000, () => ({ 'retry-after': '2' })],
      [0, () => ({ 'retry-after': at(0).toUTCString() })],
      [2_000, () => ({ 'retry-after': at(4_000).toUTCString() })],
      [0, () => ({ 'x-ratelimit-reset': at(0).toISOString() })],
      [1_500, () => ({ 'x-ratelimit-reset': at(2_000).toISOString() })],
      [1_000, () => ({ 'retry-after': '1' }), 503],
      [500, () => ({})]
    ]
    await Promise.all(
      WAITS.map(async ([ms, make, status]) => {
        const running = await startSyncedTestService(t)
        const headers = make()
        await injectRateLimit(running, headers, status)
        const { id } = await requestSync(running)
        const ended = await waitForRun(running.app, 'jira', id)
        const name = `${status ?? 429} ${JSON.stringify(headers)}`
        t.match(ended, { state: 'succeeded', error: null, counts: { upstream_calls: 3 } }, name)
        const [, refused = 0, again = 0, ...more] = await listRequestTimes(running)
        t.same(more, [], name)
        // A point in time may be closer when the request is refused.
        const [value = ''] = Object.values(headers)
        const statedAt = /^\d*$/.test(value) ? Infinity : Date.parse(value)
        t.ok(
          again >= Math.min(refused + ms, statedAt),
          `${name}: retried after ${again - refused} ms`
        )
      })
    )
  }
)

t.test(
  'Parks a run for a long wait, reports when it resumes, and resumes it no earlier',
  { buffered: true },
  async (t) => {
    const running = await startSyncedTestService(t)
    await injectRateLimit(running, { 'retry-after': '11' })
    const aside = await runSyncUntilParked(running)
    t.match(aside, {
      error: { code: 'upstream_rate_limited', detail: /resumes after the wait/ },
      finished_at: null,
      counts: { upstream_calls: 1 }
    })
    t.match(
      await requestSync(running),
      { id: aside.id, state: 'parked' },
      'a second request joins it'
    )
    t.match(
      running.lines().filter(({ event }) => event === 'sync_parked'),
      [{ run_id: aside.id, until: aside.next_run_at }]
    )
    t.match(await waitForRun(running.app, 'jira', aside.id), {
      state: 'succeeded',
      error: null,
      next_run_at: null,
      counts: { upstream_calls: 3 }
    })
    const [, refused = 0, again = 0, ...more] = await listRequestTimes(running)
    t.same(more, [])
    t.ok(again - refused >= 11_000 && again - refused < 16_000, `${again - refused} ms`)
    t.ok(again >= Date.parse(aside.next_run_at))
  }
)

t.test(
  'A run parked for an hour resumes as the same run, and can be cancelled until then',
  { buffered: true },
  async (t) => {
    const running = await startSyncedTestService(t)
    await injectRateLimit(running, { 'retry-after': '3600' })
    const aside = await runSyncUntilParked(running)
    running.advanceTime(HOUR_MS + 60_000)
    t.match(await requestSync(running), { id: aside.id })
    t.match(await waitForRun(running.app, 'jira', aside.id), { state: 'succeeded' })

    await injectRateLimit(running, { 'retry-after': '3600' }, 503)
    const again = await runSyncUntilParked(running)
    const cancelled = await running.app.inject({
      method: 'DELETE',
      url: `/integrations/jira/sync/runs/${again.id}`
    })
    t.match(cancelled.json(), {
      id: again.id,
      state: 'cancelled',
      error: { code: 'cancelled' },
      next_run_at: null
    })
    running.advanceTime(HOUR_MS + 60_000)
    const next = await requestSync(running)
    t.not(next.id, again.id)
    t.match(await waitForRun(running.app, 'jira', next.id), { state: 'succeeded' })
    t.match(await getRun(running, again.id), { state: 'cancelled' })
  }
)

t.test(
  'A rate-limit refusal blocks all calls of the same app to the site, and no other app',
  { buffered: true },
  async (t) => {
    const scopes = [...new Set(OAUTH_CLIENTS.flatMap((client) => client.scopes))]
    const clients = [
      {
        id: 'shared',
        secret: CLIENT_SECRET,
        name: 'Both',
        access: 'resource' as const,
        scopes,
        redirectUris: () => true
      }
    ]
    const calls = async ({ sandbox }: TestService) =>
      ((await sandbox.admin('stats', undefined, 'GET')).log as Array<{ path: string }>).filter(
        ({ path }) => path.includes('/ex/')
      ).length
    const one = await startSyncedTestService(
      t,
      { JIRA_OAUTH_CLIENT_ID: 'shared', CONFLUENCE_OAUTH_CLIENT_ID: 'shared' },
      { clients }
    )
    await injectRateLimit(one, { 'retry-after': '3600' })
    const { next_run_at: until } = await runSyncUntilParked(one)
    const before = await calls(one)
    const parkedRun = await runSyncUntilParked(one, 'confluence')
    t.match(parkedRun, { error: { code: 'upstream_rate_limited' }, counts: { upstream_calls: 0 } })
    t.ok(
      Math.abs(Date.parse(parkedRun.next_run_at) - Date.parse(until)) < 5_000,
      'until the same time'
    )
    t.equal(await calls(one), before, 'no call to Atlassian')

    const two = await startSyncedTestService(t)
    await injectRateLimit(two, { 'retry-after': '3600' })
    await runSyncUntilParked(two)
    t.match(await waitForRun(two.app, 'confluence', (await requestSync(two, 'confluence')).id), {
      state: 'succeeded'
    })
  }
)

t.test(
  'A site with an empty listing ends without success and deletes nothing',
  { buffered: true },
  async (t) => {
    const running = await startTestService(
      t,
      { SYNC_INTERVAL: '0' },
      { sizes: { projects: 0, issues: 0, spaces: 0, pages: 0 } }
    )
    for (const [i, [product, ...collections]] of (
      [
        ['jira', 'projects', 'issues'],
        ['confluence', 'spaces', 'pages']
      ] as const
    ).entries()) {
      await new Browser(running.app).connect(product)
      t.match(
        await waitForRun(running.app, product, i + 1),
        {
          state: 'failed',
          error: { code: 'listing_empty', detail: /nothing is deleted/ },
          failures: collections.map((collection) => ({
            collection,
            remote_id: null,
            code: 'listing_empty'
          })),
          counts: { seen: 0, removed: 0 }
        },
        product
      )
    }
  }
)
