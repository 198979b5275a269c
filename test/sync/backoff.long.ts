import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { PRODUCTS, service, type Product, type Service } from '../auth/helper.ts'
import { Browser, CLIENTS, SECRET, synced } from '../helper.ts'

t.jobs = 5

const HOUR_MS = 3_600_000
const LISTING = 'project/search'

const run = async ({ app }: Service, id: number, product: Product = 'jira') =>
  (await app.inject(`/integrations/${product}/sync/runs/${id}`)).json() as Record<string, any>
const sync = async ({ app }: Service, product: Product = 'jira') =>
  (await app.inject({ method: 'POST', url: `/integrations/${product}/sync` })).json() as Record<
    string,
    any
  >
const limit = async ({ sandbox }: Service, headers: object, status = 429) =>
  await sandbox.admin('faults', {
    kind: 'status',
    status,
    headers,
    match: { path: LISTING },
    times: 1
  })
/** When the listing was asked for. */
const asked = async ({ sandbox }: Service) =>
  ((await sandbox.admin('stats', undefined, 'GET')).log as Array<{ at: number; path: string }>)
    .filter(({ path }) => path.includes(LISTING))
    .map(({ at }) => at)

/** Copies until the run is put aside. */
async function parked(running: Service, product: Product = 'jira'): Promise<Record<string, any>> {
  const { id } = await sync(running, product)
  for (let i = 0; i < 500; i++) {
    const found = await run(running, id, product)
    if (found.state === 'parked') return found
    await sleep(10)
  }
  throw new Error('The run was not put aside')
}

/** A service that has copied both products. */
async function connect(t: Test, env: NodeJS.ProcessEnv = {}, sandbox = {}): Promise<Service> {
  const running = await service(t, { SYNC_INTERVAL: '0', ...env }, sandbox)
  for (const [i, product] of PRODUCTS.entries()) {
    await new Browser(running.app).connect(product)
    await synced(running.app, product, i + 1)
  }
  return running
}

t.test(
  'A short wait that Atlassian asks for is waited, however it is asked for, and the run succeeds',
  { buffered: true },
  async (t) => {
    const at = (ms: number) => new Date(Date.now() + ms)
    const WAITS: Array<[ms: number, make: () => object, status?: number]> = [
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
        const running = await connect(t)
        const headers = make()
        await limit(running, headers, status)
        const { id } = await sync(running)
        const ended = await synced(running.app, 'jira', id)
        const name = `${status ?? 429} ${JSON.stringify(headers)}`
        t.match(ended, { state: 'succeeded', error: null, counts: { upstream_calls: 3 } }, name)
        const [, refused = 0, again = 0, ...more] = await asked(running)
        t.same(more, [], name)
        t.ok(again - refused >= ms, `${name}: asked again after ${again - refused} ms`)
      })
    )
  }
)

t.test(
  'A long wait holds nothing: the run is parked, says when it goes on, and goes on by itself, not a moment too soon',
  { buffered: true },
  async (t) => {
    const running = await connect(t)
    await limit(running, { 'retry-after': '11' })
    const aside = await parked(running)
    t.match(aside, {
      error: { code: 'upstream_rate_limited', detail: /by itself/ },
      finished_at: null,
      counts: { upstream_calls: 1 }
    })
    t.match(await sync(running), { id: aside.id, state: 'parked' }, 'a second request joins it')
    t.match(
      running.lines().filter(({ event }) => event === 'sync_parked'),
      [{ run_id: aside.id, until: aside.next_run_at }]
    )
    t.match(await synced(running.app, 'jira', aside.id), {
      state: 'succeeded',
      error: null,
      next_run_at: null,
      counts: { upstream_calls: 3 }
    })
    const [, refused = 0, again = 0, ...more] = await asked(running)
    t.same(more, [])
    t.ok(again - refused >= 11_000 && again - refused < 16_000, `${again - refused} ms`)
    t.ok(again >= Date.parse(aside.next_run_at))
  }
)

t.test(
  'A run that is parked for an hour is the same run an hour later, and can be cancelled until then',
  { buffered: true },
  async (t) => {
    const running = await connect(t)
    await limit(running, { 'retry-after': '3600' })
    const aside = await parked(running)
    running.pass(HOUR_MS + 60_000)
    t.match(await sync(running), { id: aside.id })
    t.match(await synced(running.app, 'jira', aside.id), { state: 'succeeded' })

    await limit(running, { 'retry-after': '3600' }, 503)
    const again = await parked(running)
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
    running.pass(HOUR_MS + 60_000)
    const next = await sync(running)
    t.not(next.id, again.id)
    t.match(await synced(running.app, 'jira', next.id), { state: 'succeeded' })
    t.match(await run(running, again.id), { state: 'cancelled' })
  }
)

t.test(
  'A refusal for the rate holds whatever the same app wants of that site, and nothing of another app',
  { buffered: true },
  async (t) => {
    const scopes = [...new Set(CLIENTS.flatMap((client) => client.scopes))]
    const clients = [
      {
        id: 'shared',
        secret: SECRET,
        name: 'Both',
        access: 'resource' as const,
        scopes,
        redirectUris: () => true
      }
    ]
    const calls = async ({ sandbox }: Service) =>
      ((await sandbox.admin('stats', undefined, 'GET')).log as Array<{ path: string }>).filter(
        ({ path }) => path.includes('/ex/')
      ).length
    const one = await connect(
      t,
      { JIRA_OAUTH_CLIENT_ID: 'shared', CONFLUENCE_OAUTH_CLIENT_ID: 'shared' },
      { clients }
    )
    await limit(one, { 'retry-after': '3600' })
    const { next_run_at: until } = await parked(one)
    const before = await calls(one)
    const held = await parked(one, 'confluence')
    t.match(held, { error: { code: 'upstream_rate_limited' }, counts: { upstream_calls: 0 } })
    t.ok(Math.abs(Date.parse(held.next_run_at) - Date.parse(until)) < 5_000, 'until the same time')
    t.equal(await calls(one), before, 'nobody was asked')

    const two = await connect(t)
    await limit(two, { 'retry-after': '3600' })
    await parked(two)
    t.match(await synced(two.app, 'confluence', (await sync(two, 'confluence')).id), {
      state: 'succeeded'
    })
  }
)

t.test(
  'A site that shows nothing at all is no success, and deletes nothing',
  { buffered: true },
  async (t) => {
    const running = await service(
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
        await synced(running.app, product, i + 1),
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
