import t from 'tap'
import {
  Browser,
  buildTestApp,
  OAUTH_CLIENTS,
  buildSandboxEnv,
  buildAppWithSandbox,
  CLIENT_SECRET,
  waitForRun,
  type TestApp
} from '../helper.ts'
import { ACME, GLOBEX, startSandbox } from '../sandbox/helper.ts'

const requestSync = async ({ app }: TestApp, product: string, query = '') =>
  await app.inject({ method: 'POST', url: `/integrations/${product}/sync${query}` })
const HOURLY_LISTINGS = { SYNC_LIST_INTERVAL: '3600' }
const listProjects = async ({ app }: TestApp) =>
  (await app.inject('/jira/projects/1')).json() as Array<Record<string, any>>

t.test('A sync request returns 202 with a relative reference to its run', async (t) => {
  const service = await buildAppWithSandbox(t, { env: HOURLY_LISTINGS })
  await new Browser(service.app).connect('jira')
  await waitForRun(service.app, 'jira')
  const answer = await requestSync(service, 'jira', '?owner_id=1')
  t.equal(answer.statusCode, 202)
  t.match(answer.json(), {
    id: 2,
    product: 'jira',
    owner_id: 1,
    state: /queued|running/,
    counts: { seen: 0 },
    error: null,
    finished_at: null
  })
  t.equal(answer.headers.location, 'sync/runs/2')
  const run = await waitForRun(service.app, 'jira', 2)
  t.match(run, {
    mode: 'due',
    state: 'succeeded',
    counts: {
      seen: 0,
      added: 0,
      changed: 0,
      unchanged: 0,
      removed: 0,
      held: 0,
      skipped: 0,
      upstream_calls: 1
    },
    failures: [],
    error: null,
    next_run_at: null
  })
  t.ok(Date.parse(run.finished_at) >= Date.parse(run.started_at))
})

t.test('The first sync is full, later ones incremental, and full again after a day', async (t) => {
  let clock = Date.now()
  const service = await buildAppWithSandbox(t, {
    env: HOURLY_LISTINGS,
    now: () => clock,
    sandbox: { indexLagMs: 0 }
  })
  const copy = async (query = '') =>
    await waitForRun(service.app, 'jira', (await requestSync(service, 'jira', query)).json().id)
  await new Browser(service.app).connect('jira')
  const whole = { seen: 312, upstream_calls: 5, points: 5 + 12 + 300 }
  t.match(
    await waitForRun(service.app, 'jira'),
    { mode: 'due', counts: { ...whole, added: 312 } },
    'a call each for the projects and the number of issues, and three for the issues'
  )
  t.match(
    await copy(),
    { counts: { seen: 0, upstream_calls: 1 } },
    'one call without changes: the projects were listed less than an hour ago'
  )
  clock += 3_600_000
  await service.sandbox.admin('issues', {
    project: (await listProjects(service))[0]?.key,
    summary: 'New here'
  })
  t.match(await copy('?mode=incremental'), {
    mode: 'incremental',
    counts: { seen: 13, added: 1, upstream_calls: 2 }
  })
  t.match(await copy('?mode=full'), { mode: 'full', counts: { seen: 313, unchanged: 313 } })
  clock += 24 * 3_600_000
  t.match(await copy('?mode=incremental'), { counts: { upstream_calls: 2 } })
  t.match(await copy(), { mode: 'due', counts: { seen: 313, unchanged: 313 } })
  t.match(await copy(), { counts: { upstream_calls: 1 } })
  t.match((await requestSync(service, 'jira', '?mode=some')).json(), {
    status: 422,
    errors: [{ pointer: '/mode', detail: 'Value must be one of due, incremental, full.' }]
  })
})

t.test('A second request joins the active run', async (t) => {
  const service = await buildAppWithSandbox(t)
  await service.sandbox.admin('faults', {
    kind: 'delay',
    delay_ms: 300,
    match: { path: 'project/search' }
  })
  await new Browser(service.app).connect('jira')
  const [a, b] = await Promise.all([requestSync(service, 'jira'), requestSync(service, 'jira')])
  t.same([a.json().id, b.json().id], [1, 1])
  await waitForRun(service.app, 'jira')
  t.equal((await requestSync(service, 'jira')).json().id, 2)
  await waitForRun(service.app, 'jira', 2)
})

t.test('Explains a missing connection, owner or run in an error', async (t) => {
  const service = await buildTestApp(t)
  t.match((await requestSync(service, 'jira')).json(), { status: 404, code: 'user_not_found' })
  await service.app.inject({ method: 'POST', url: '/users', payload: { email: 'ada@example.com' } })
  t.match((await requestSync(service, 'jira')).json(), {
    status: 409,
    code: 'not_connected',
    detail: /\/auth\/jira\/login/
  })
  t.match((await requestSync(service, 'jira', '?owner_id=2')).json(), {
    status: 404,
    code: 'user_not_found'
  })
  t.match((await requestSync(service, 'jira', '?owner=1')).json(), {
    status: 422,
    errors: [{ pointer: '/owner' }]
  })
  t.match((await service.app.inject('/integrations/jira/sync/runs/1')).json(), {
    status: 404,
    code: 'run_not_found'
  })
})

t.test('Finds a run only under the path of its product', async (t) => {
  const service = await buildAppWithSandbox(t)
  await new Browser(service.app).connect('jira')
  await waitForRun(service.app, 'jira')
  t.equal((await service.app.inject('/integrations/confluence/sync/runs/1')).statusCode, 404)
})

t.test('Updates a project with a renamed key in place, and its link', async (t) => {
  const service = await buildAppWithSandbox(t)
  await new Browser(service.app).connect('jira')
  await waitForRun(service.app, 'jira')
  const [before] = await listProjects(service)
  await service.sandbox.admin(`projects/${before?.key}`, { key: 'RENAMED', name: 'Moved' })
  await requestSync(service, 'jira')
  t.match(await waitForRun(service.app, 'jira', 2), {
    counts: { added: 0, changed: 1, unchanged: 11 }
  })
  const after = (await listProjects(service)).find(({ id }) => id === before?.id)
  t.match(after, {
    key: 'RENAMED',
    name: 'Moved',
    url: 'https://acme.atlassian.net/browse/RENAMED'
  })
  t.equal((await listProjects(service)).length, 12)
})

t.test('Hand-posted rows coexist with copied rows', async (t) => {
  const service = await buildAppWithSandbox(t)
  await new Browser(service.app).connect('jira')
  await waitForRun(service.app, 'jira')
  const [copied] = await listProjects(service)
  const posted = await service.app.inject({
    method: 'POST',
    url: '/jira/projects',
    payload: { owner_id: 1, key: copied?.key, name: 'By hand' }
  })
  t.equal(posted.statusCode, 201)
  await requestSync(service, 'jira')
  await waitForRun(service.app, 'jira', 2)
  const same = (await listProjects(service)).filter(({ key }) => key === copied?.key)
  t.same(same.map(({ name }) => name).sort(), ['By hand', copied?.name].sort())
})

t.test('Copies no site of a consent for several sites until the user selects one', async (t) => {
  const clients = OAUTH_CLIENTS.map((client) => ({ ...client, access: 'account' as const }))
  const service = await buildAppWithSandbox(t, { sandbox: { clients } })
  await new Browser(service.app).connect('jira')
  t.match(await waitForRun(service.app, 'jira'), {
    state: 'failed',
    error: { code: 'needs_site' },
    counts: { upstream_calls: 0 }
  })
  t.match(
    (await service.app.inject({ method: 'POST', url: '/integrations/jira/connect' })).json(),
    { connected: false, base_url: null }
  )
  const chosen = await service.app.inject({
    method: 'PUT',
    url: '/users/1/connections/jira/site',
    payload: { cloud_ids: [ACME, GLOBEX] }
  })
  t.match(chosen.json(), { state: 'active', site: null })
  t.match(await waitForRun(service.app, 'jira', 2), {
    state: 'succeeded',
    counts: { seen: 364, upstream_calls: 8 }
  })
  const hosts = new Set((await listProjects(service)).map(({ url }) => new URL(url).host))
  t.same([...hosts].sort(), ['acme.atlassian.net', 'globex.atlassian.net'])
  const connect = await service.app.inject({ method: 'POST', url: '/integrations/jira/connect' })
  t.match(connect.json(), { connected: true, base_url: null }, 'no site is selected')
})

t.test('Links point to the site, not to the gateway', async (t) => {
  const service = await buildAppWithSandbox(t)
  await new Browser(service.app).connect('confluence')
  await waitForRun(service.app, 'confluence')
  const pages = (await service.app.inject('/confluence/pages/1')).json() as Array<
    Record<string, any>
  >
  t.equal(pages.length, 60)
  t.ok(pages.every(({ url }) => /^https:\/\/acme\.atlassian\.net\/wiki\/spaces\//.test(url)))
  t.ok(
    pages.every(({ url, space_key: key }) => decodeURIComponent(url).includes(`/spaces/${key}/`))
  )
  t.same(
    pages.map(({ title }) => title),
    pages.map(({ title }) => title).sort(compareByCodePoint)
  )
})

t.test(
  'One client for both products keeps both connections, because each login requests the scopes of the other',
  async (t) => {
    const scopes = OAUTH_CLIENTS.flatMap((client) => client.scopes)
    const shared = {
      id: 'shared',
      secret: CLIENT_SECRET,
      name: 'Both',
      access: 'resource' as const,
      scopes,
      redirectUris: () => true
    }
    const sandbox = await startSandbox(t, { clients: [shared] })
    const service = await buildTestApp(t, {
      ...buildSandboxEnv(sandbox.url),
      JIRA_OAUTH_CLIENT_ID: 'shared',
      CONFLUENCE_OAUTH_CLIENT_ID: 'shared'
    })
    const browser = new Browser(service.app)
    await browser.connect('jira')
    await waitForRun(service.app, 'jira')
    await browser.connect('confluence')
    t.match(await waitForRun(service.app, 'confluence', 2), { state: 'succeeded' })
    await requestSync(service, 'jira')
    t.match(await waitForRun(service.app, 'jira', 3), { state: 'succeeded' })
  }
)

function compareByCodePoint(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
