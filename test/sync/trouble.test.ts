import t from 'tap'
import { Browser, connected, synced, type Built } from '../helper.ts'

const sync = async ({ app }: Built, product: string) => await app.inject({ method: 'POST', url: `/integrations/${product}/sync` })

/** What Atlassian does, and what the run says of it. */
const TROUBLE: Array<{ title: string, fault: object, code: string }> = [
  { title: 'refuses with 400', fault: { kind: 'status', status: 400 }, code: 'upstream_refused' },
  { title: 'refuses with 403', fault: { kind: 'status', status: 403 }, code: 'upstream_refused' },
  { title: 'answers 404', fault: { kind: 'status', status: 404 }, code: 'upstream_refused' },
  { title: 'answers 410', fault: { kind: 'status', status: 410 }, code: 'upstream_refused' },
  { title: 'fails with 500', fault: { kind: 'status', status: 500 }, code: 'upstream_failed' },
  { title: 'fails with 503 and no Retry-After', fault: { kind: 'status', status: 503, headers: {} }, code: 'upstream_failed' },
  { title: 'limits the rate for an hour', fault: { kind: 'status', status: 429, headers: { 'retry-after': '3600' } }, code: 'upstream_rate_limited' },
  { title: 'answers with a page of HTML', fault: { kind: 'html', status: 200 }, code: 'upstream_invalid_answer' },
  { title: 'answers with half a document', fault: { kind: 'truncate' }, code: 'upstream_(invalid_answer|unreachable)' },
  { title: 'answers with something else', fault: { kind: 'garbage' }, code: 'upstream_invalid_answer' },
  { title: 'redirects', fault: { kind: 'redirect' }, code: 'upstream_invalid_answer' },
  { title: 'answers without end', fault: { kind: 'huge' }, code: 'upstream_invalid_answer' },
  { title: 'never answers', fault: { kind: 'hang' }, code: 'upstream_timeout' },
  { title: 'closes the connection', fault: { kind: 'drop-before' }, code: 'upstream_unreachable' }
]

t.test('A run ends with a code of its own when Atlassian, at the second page,', async (t) => {
  const service = await connected(t, { env: { UPSTREAM_ANSWER_TIMEOUT_MS: '1000' }, sandbox: { sizes: { projects: 150, pages: 300 } } })
  const browser = new Browser(service.app)
  await browser.connect('jira')
  await browser.connect('confluence')
  await synced(service.app, 'jira', 1)
  await synced(service.app, 'confluence', 2)
  let id = 2
  for (const { title, fault, code } of TROUBLE) {
    for (const [product, path, items] of [['jira', 'project/search', 100], ['confluence', 'api/v2/pages', 250]] as const) {
      await t.test(`${title} (${product})`, async (t) => {
        await service.sandbox.admin('faults', undefined, 'DELETE')
        await service.sandbox.admin('faults', { ...fault, match: { path }, skip: 1, times: 1 })
        const before = service.lines().length
        await sync(service, product)
        const run = await synced(service.app, product, ++id)
        t.match(run, { state: 'failed', error: { code: new RegExp(`^${code}$`), detail: /\.$/ }, counts: { seen: items } })
        const log = service.lines().slice(before)
        t.match(log.filter(({ event }) => event === 'sync_error'), [{ run_id: id, err: { stack: /AppError/ } }])
        const upstream = log.find(({ event }) => event === 'upstream_error')
        t.match(upstream, { upstream: /^127\.0\.0\.1:/ }, 'and the log names the upstream')
        if (upstream?.status_code !== undefined) t.match(upstream.trace_id, /^[\da-f]{32}$/, "with Atlassian's trace id")
      })
    }
  }
  t.equal((await service.app.inject('/jira/projects/1')).json().length, 150, 'and what was copied before is still there')
})

t.test('A short wait that Atlassian asks for is waited, and the run succeeds', async (t) => {
  for (const headers of [{ 'retry-after': '0' }, { 'retry-after': new Date().toUTCString() }, { 'x-ratelimit-reset': new Date().toISOString() }]) {
    const service = await connected(t)
    await service.sandbox.admin('faults', { kind: 'status', status: 429, headers, match: { path: 'project/search' }, times: 1 })
    await new Browser(service.app).connect('jira')
    t.match(await synced(service.app, 'jira'), { state: 'succeeded', counts: { seen: 12, upstream_calls: 2 } })
    t.match(service.lines().filter(({ event }) => event === 'upstream_wait'), [{ status_code: 429 }])
  }
})

t.test('A missing scope is named as such and nothing is refreshed for it', async (t) => {
  const service = await connected(t)
  await new Browser(service.app).connect('jira', '&scope=read:jira-user%20offline_access')
  t.match(await synced(service.app, 'jira'), { state: 'failed', error: { code: 'scope_missing', detail: /read:jira-work/ } })
  const { exchanges } = await service.sandbox.admin('stats', undefined, 'GET')
  t.same(Object.keys(exchanges as object), ['authorization_code'])
})

t.test('An access token that has run out is refreshed once, before it is used', async (t) => {
  let clock = Date.now()
  const service = await connected(t, { now: () => clock })
  const browser = new Browser(service.app)
  await browser.connect('jira')
  await synced(service.app, 'jira')
  clock += 3_600_000
  await Promise.all([sync(service, 'jira'), sync(service, 'jira')])
  t.match(await synced(service.app, 'jira', 2), { state: 'succeeded' })
  const { exchanges, family_revocations: revoked } = await service.sandbox.admin('stats', undefined, 'GET')
  t.match(exchanges, { refresh_token: { ok: 1 } })
  t.equal(revoked, 0)
})

t.test('An access token that Atlassian turns down early is replaced once', async (t) => {
  const service = await connected(t)
  await new Browser(service.app).connect('jira')
  await synced(service.app, 'jira')
  await service.sandbox.admin('faults', { kind: 'status', status: 401, body: { code: 401, message: 'Unauthorized' }, match: { path: 'project/search' }, times: 1 })
  await sync(service, 'jira')
  t.match(await synced(service.app, 'jira', 2), { state: 'succeeded' })
  t.match((await service.sandbox.admin('stats', undefined, 'GET')).exchanges, { refresh_token: { ok: 1 } })
})

t.test('A revoked consent ends the run with needs_reconnect', async (t) => {
  const service = await connected(t)
  await new Browser(service.app).connect('jira')
  await synced(service.app, 'jira')
  await service.sandbox.admin('revoke', {})
  await sync(service, 'jira')
  t.match(await synced(service.app, 'jira', 2), { state: 'failed', error: { code: 'needs_reconnect' } })
})

t.test('A wrong client secret is called the operator\'s fault', async (t) => {
  let clock = Date.now()
  const service = await connected(t, { now: () => clock })
  await new Browser(service.app).connect('jira')
  await synced(service.app, 'jira')
  clock += 3_600_000
  await service.sandbox.admin('faults', { kind: 'status', status: 401, body: { error: 'access_denied', error_description: 'Unauthorized' }, match: { path: '/oauth/token', method: 'POST' } })
  await sync(service, 'jira')
  t.match(await synced(service.app, 'jira', 2), { error: { code: 'oauth_misconfigured' } })
})

t.test('Atlassian that is not there at all is upstream_unreachable', async (t) => {
  const service = await connected(t)
  await new Browser(service.app).connect('jira')
  await synced(service.app, 'jira')
  await service.sandbox.admin('faults', { kind: 'drop-before', times: 1000 })
  await sync(service, 'jira')
  t.match(await synced(service.app, 'jira', 2), { error: { code: 'upstream_unreachable' } })
})
