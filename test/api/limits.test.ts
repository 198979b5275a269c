import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import packageJson from '../../package.json' with { type: 'json' }
import { startTestService } from '../auth/helper.ts'
import { Browser, buildTestApp, waitFor, waitForRun, type TestApp } from '../helper.ts'
import type { TestContext } from '../types.ts'
import { ACME } from '../sandbox/helper.ts'
import { startSync, waitForRunToStop } from '../sync/faults-helper.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** A server that answers every call with these headers, and what it received. */
async function startUpstream(t: TestContext, headers: Record<string, string>) {
  const received: IncomingHttpHeaders[] = []
  const server = createServer((request, response) => {
    received.push(request.headers)
    response.writeHead(200, { 'content-type': 'application/json', ...headers }).end('{}')
  })
  t.teardown(() => server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { received, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

const readLimits = async ({ app }: TestApp) => (await app.inject('/limits')).json()

t.test('Requests to Atlassian name this software and its version', async (t) => {
  const { app } = await buildTestApp(t)
  await app.ready()
  const upstream = await startUpstream(t, {})
  await app.httpClient({ url: upstream.url, log: app.log })
  await app.httpClient({ method: 'POST', url: upstream.url, json: {}, log: app.log })
  t.same(
    upstream.received.map((headers) => headers['user-agent']),
    Array(2).fill(`jira-confluence-connector/${packageJson.version}`)
  )
})

t.test('Logs deprecated endpoints once a day each, and lists them', async (t) => {
  let now = Date.UTC(2026, 10, 23, 12)
  const running = await buildTestApp(t, {}, () => now)
  const { app, lines } = running
  await app.ready()
  const sunset = 'Sat, 31 Jan 2027 23:59:59 GMT'
  const upstream = await startUpstream(t, {
    deprecation: '@1688169599',
    sunset,
    warning: '299 - "Use v2"'
  })
  const call = async (path: string) =>
    await app.httpClient({ url: `${upstream.url}${path}`, log: app.log })
  const base = `/ex/confluence/${ACME}/wiki/rest/api/content`
  for (const path of ['/1?expand=body', '/2', '', '/3']) await call(base + path)
  await call('/me')
  const listEvents = () => lines().filter(({ event }) => event === 'upstream_deprecation')
  const endpoints = [
    'GET /me',
    'GET confluence/wiki/rest/api/content',
    'GET confluence/wiki/rest/api/content/{id}'
  ]
  t.same(
    listEvents()
      .map(({ endpoint }) => endpoint)
      .sort(),
    endpoints
  )
  t.match(listEvents()[0], { level: 'warn', sunset, warning: '299 - "Use v2"' })
  now += DAY_MS - 1
  await call(`${base}/4`)
  t.equal(listEvents().length, 3, 'the same day')
  now += 1
  await call(`${base}/5`)
  t.equal(listEvents().length, 4, 'the next day')
  const { deprecations } = await readLimits(running)
  t.same(
    deprecations.map((each: { endpoint: string }) => each.endpoint),
    endpoints
  )
  t.match(deprecations[2], {
    deprecation: '@1688169599',
    sunset,
    first_seen_at: '2026-11-23T12:00:00.000Z',
    last_seen_at: '2026-11-24T12:00:00.000Z'
  })
})

t.test('A response without such headers is no deprecation', async (t) => {
  const running = await buildTestApp(t)
  await running.app.ready()
  const upstream = await startUpstream(t, { link: '</docs>; rel="help"' })
  await running.app.httpClient({ url: upstream.url, log: running.app.log })
  t.same((await readLimits(running)).deprecations, [])
})

t.test('GET /limits shows the points used and left, by app, site and product', async (t) => {
  const service = await startTestService(t, {
    SYNC_INTERVAL: '0',
    ATLASSIAN_HOURLY_POINTS: '1000'
  })
  const points: Record<string, number> = {}
  for (const [i, product] of (['jira', 'confluence'] as const).entries()) {
    await new Browser(service.app).connect(product)
    points[product] = (await waitForRun(service.app, product, i + 1)).counts.points
  }
  for (const product of ['jira', 'confluence']) {
    // They are added up just after the run has ended.
    const limits = await waitFor(async () =>
      (await readLimits(service)).apps.find(
        (each: { client_id: string; products: unknown[] }) =>
          each.client_id === `${product}-app` && each.products.length > 0
      )
    )
    const used = points[product] ?? 0
    t.ok(used > 0)
    t.match(limits, {
      points: {
        quota: 1_000,
        quota_source: 'setting',
        used,
        remaining: 1_000 - used,
        blocked_until: null
      },
      products: [{ product, points: used }],
      sites: [{ cloud_id: ACME, used, points: null }],
      blocks: []
    })
    const nextHour = (Math.floor(Date.now() / HOUR_MS) + 1) * HOUR_MS
    t.ok(Math.abs(Date.parse(limits.points.next_reset) - nextHour) < 2_000, 'the next UTC hour')
  }
  t.match((await service.app.inject('/health/oauth')).json(), {
    jira: { points: { quota: 1_000, remaining: 1_000 - (points.jira ?? 0), blocked_until: null } }
  })
})

t.test('GET /limits and /health/oauth show a refusal with its reason and its end', async (t) => {
  const service = await startTestService(t, { SYNC_INTERVAL: '0' })
  await new Browser(service.app).connect('jira')
  await waitForRun(service.app, 'jira', 1)
  await service.sandbox.admin('faults', {
    kind: 'status',
    status: 429,
    headers: {
      'RateLimit-Reason': 'conf-global-based',
      RateLimit: '"global-app-quota";r=0;t=1800'
    },
    match: { path: '/ex/jira/' }
  })
  const id = await startSync(service.app, 'jira')
  await t.resolves(
    (async () => {
      while ((await readLimits(service)).apps[0].blocks.length === 0) {
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    })()
  )
  const [jira] = (await readLimits(service)).apps
  t.match(jira, {
    points: { remaining: 0, blocked_until: jira.blocks[0].until },
    blocks: [{ scope: 'app', site: null, endpoint: null, reason: 'conf-global-based' }]
  })
  const waitMs = Date.parse(jira.blocks[0].until) - Date.now()
  t.ok(waitMs > 0 && waitMs <= 1_801_000, `${waitMs} ms`)
  const { points } = (await service.app.inject('/health/oauth')).json().jira
  t.equal(points.remaining, 0)
  t.ok(Math.abs(Date.parse(points.blocked_until) - Date.parse(jira.blocks[0].until)) < 1_000)
  // The block is known before the run that met it is put aside.
  t.match(await waitForRunToStop(service, 'jira', id), { state: 'parked' })
})
