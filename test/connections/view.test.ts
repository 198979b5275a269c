import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { DANA } from '../../src/sandbox/oauth/users.ts'
import { SMALL_SANDBOX, startTestService, type TestService } from '../auth/helper.ts'
import {
  Browser,
  buildAppWithSandbox,
  answerConsentPage,
  waitForRun,
  type TestApp
} from '../helper.ts'
import { resolveNextPage } from '../network.ts'
import { ACME } from '../sandbox/helper.ts'
import { HOUR_MS } from '../time.ts'

const START_MS = Date.UTC(2026, 10, 23, 12)
const LIMITED_SCOPE_QUERY = '&scope=read:jira-user%20offline_access'
const SCOPE_FAULT = {
  kind: 'status',
  status: 401,
  body: { code: 401, message: 'Unauthorized; scope does not match' },
  match: { path: 'project/search' }
}
const EXPECTED_SITE = { cloud_id: ACME, name: 'acme', url: 'https://acme.atlassian.net' }
const ENABLED_FEATURE = { on: true, missing: [], login_url: null }

const listConnections = async ({ app }: TestApp, prefix = '') =>
  (await app.inject(`${prefix}/users/1/connections`)).json().connections as Array<
    Record<string, any>
  >
const getFeature = async (running: TestApp, name: string, prefix = '') =>
  (await listConnections(running, prefix))[0]?.features.find(
    (each: { name: string }) => each.name === name
  )
const getConnectionHistory = async ({ app }: TestApp, query = '') =>
  await app.inject(`/users/1/connections/jira/history${query}`)
const checkConnection = async ({ app }: TestApp) =>
  await app.inject({ method: 'POST', url: '/users/1/connections/jira/check' })
const getExchanges = async ({ sandbox }: TestService) =>
  (await sandbox.admin('stats', undefined, 'GET')).exchanges

async function runSync({ app }: TestApp) {
  return await waitForRun(
    app,
    'jira',
    (await app.inject({ method: 'POST', url: '/integrations/jira/sync' })).json().id
  )
}

/** The state change events in the log. */
function filterStateEvents({ lines }: TestApp) {
  return lines().filter(({ event }) => event === 'connection_state_changed')
}

async function connectJira(running: TestService, query = '') {
  await new Browser(running.app).connect('jira', query)
  await waitForRun(running.app, 'jira')
}

t.test('A new connection shows state, site, features, scopes and times', async (t) => {
  let clock = START_MS
  const running = await buildAppWithSandbox(t, {
    env: { SYNC_INTERVAL: '0' },
    sandbox: SMALL_SANDBOX,
    now: () => clock
  })
  const browser = new Browser(running.app)
  for (const [i, product] of ['jira', 'confluence'].entries()) {
    await browser.connect(product)
    await waitForRun(running.app, product, i + 1)
  }
  const fresh = {
    state: 'active',
    account_id: DANA.accountId,
    site: EXPECTED_SITE,
    sites: [{ ...EXPECTED_SITE, selected: true, reachable: true }],
    connected_at: '2026-11-23T12:00:00.000Z',
    last_refresh_at: null,
    reconsent_by: '2027-11-23T12:00:00.000Z',
    next_try_at: null,
    next_sync_at: null,
    fresh_within: null,
    held_deletions: [],
    last_error: null
  }
  const jira = {
    ...fresh,
    product: 'jira',
    features: [
      { name: 'projects', ...ENABLED_FEATURE },
      { name: 'issues', ...ENABLED_FEATURE },
      { name: 'identity', ...ENABLED_FEATURE }
    ],
    scopes: ['read:jira-work', 'read:jira-user', 'read:me', 'offline_access']
  }
  const confluence = {
    ...fresh,
    product: 'confluence',
    page_bodies: false,
    features: ['spaces', 'pages', 'incremental_pages', 'identity'].map((name) => ({
      name,
      ...ENABLED_FEATURE
    })),
    scopes: [
      'read:space:confluence',
      'read:page:confluence',
      'search:confluence',
      'read:me',
      'offline_access'
    ]
  }
  t.strictSame((await running.app.inject('/users/1/connections')).json(), {
    connections: [jira, confluence]
  })
  clock += HOUR_MS
  const checked = await checkConnection(running)
  t.equal(checked.statusCode, 200)
  t.strictSame(
    checked.json(),
    { ...jira, last_refresh_at: '2026-11-23T13:00:00.000Z' },
    'a check returns the same and reports the refresh'
  )
  t.strictSame(
    await listConnections(running),
    [checked.json(), confluence],
    'changes only this product'
  )
})

t.test(
  'Without connections the list is empty; an unknown user is 404; a malformed id is reported',
  async (t) => {
    const { app } = await startTestService(t)
    await app.inject({ method: 'POST', url: '/users', payload: { email: 'ada@example.com' } })
    t.strictSame((await app.inject('/users/1/connections')).json(), { connections: [] })
    for (const path of ['', '/jira/history', '/confluence/history']) {
      t.match(
        (await app.inject(`/users/2/connections${path}`)).json(),
        { status: 404, code: 'user_not_found' },
        path
      )
      for (const id of ['0', '-1', '1.5', 'x', '99999999999999999']) {
        t.match(
          (await app.inject(`/users/${id}/connections${path}`)).json(),
          { status: 422, errors: [{ pointer: '/user_id' }] },
          id + path
        )
      }
    }
    t.match((await app.inject('/users/1/connections/jira/history')).json(), {
      status: 404,
      code: 'connection_not_found'
    })
    t.match((await checkConnection({ app } as TestApp)).json(), {
      status: 404,
      code: 'connection_not_found'
    })
    t.equal((await app.inject('/users/1/connections/trello/history')).statusCode, 404)
  }
)

t.test('Links keep the prefix of the request and work', async (t) => {
  const running = await startTestService(t)
  await connectJira(running, LIMITED_SCOPE_QUERY)
  const { login_url: bare } = await getFeature(running, 'projects')
  const { login_url: prefixed } = await getFeature(running, 'projects', '/api')
  t.equal(prefixed, `/api${bare}`)
  for (const url of [bare, prefixed]) {
    t.match((await running.app.inject(url)).json(), { provider: 'jira', url: /^http/ })
  }
  const checked = await running.app.inject({
    method: 'POST',
    url: '/api/users/1/connections/jira/check'
  })
  t.equal(checked.json().features[0].login_url, prefixed)
  await running.sandbox.admin('faults', SCOPE_FAULT)
  await runSync(running)
  await new Browser(running.app).connect('jira')
  const { headers } = await running.app.inject('/api/users/1/connections/jira/history?limit=1')
  t.match(headers.link, /^<\?limit=1&cursor=[\w-]+>; rel="next"$/)
})

t.test('T20 No token, plain or encrypted, is in any response', async (t) => {
  const running = await startTestService(t)
  const { signer } = running.sandbox.state
  const issued: string[] = []
  const sign = signer.sign.bind(signer)
  signer.sign = (claims) => {
    issued.push(sign(claims))
    return issued.at(-1) ?? ''
  }
  await connectJira(running)
  running.advanceTime(HOUR_MS)
  const answers = [
    await checkConnection(running),
    await running.app.inject('/users/1/connections'),
    await getConnectionHistory(running),
    await running.app.inject({
      method: 'PUT',
      url: '/users/1/connections/jira/site',
      payload: { cloud_id: ACME }
    })
  ]
  await waitForRun(running.app, 'jira', 2)
  const grant = (await running.app.store.connections.get(1, 'jira'))?.grant
  answers.push(await running.app.inject({ method: 'DELETE', url: '/users/1/connections/jira' }))
  t.same(
    answers.map(({ statusCode }) => statusCode),
    [200, 200, 200, 200, 200]
  )
  const secrets = [
    ...issued,
    grant?.accessToken,
    grant?.refreshToken,
    grant?.previousRefreshToken
  ] as string[]
  t.equal(
    secrets.filter((secret) => secret?.length > 40).length,
    8,
    'one code, two pairs and three encrypted tokens'
  )
  for (const { body } of answers) {
    t.notOk(secrets.some((secret) => body.includes(secret)))
    t.notMatch(body, /eyJ|(access|refresh)_?token|key_?id/i)
  }
})

t.test(
  'A consent with few scopes lists the missing ones and offers a login that adds them',
  async (t) => {
    const running = await startTestService(t)
    await connectJira(running, LIMITED_SCOPE_QUERY)
    const [connection] = await listConnections(running)
    t.match(connection, {
      state: 'scope_missing',
      last_error: /^The connection lacks .*\(read:jira-work\).*\.$/,
      scopes: ['read:jira-user', 'read:me', 'offline_access']
    })
    for (const name of ['projects', 'issues']) {
      t.match(await getFeature(running, name), {
        on: false,
        missing: ['read:jira-work'],
        login_url: /^\/auth\/jira\/login\?/
      })
    }
    const { login_url: login } = await getFeature(running, 'projects')
    const { url } = (await running.app.inject(login)).json() as { url: string }
    t.same(
      new URL(url).searchParams.get('scope')?.split(' ').sort(),
      ['offline_access', 'read:jira-user', 'read:jira-work', 'read:me'],
      'held and missing scopes only'
    )
    t.match(
      (await new Browser(running.app).open(await answerConsentPage(url))).headers.location,
      /status=success&user_id=1/
    )
    await waitForRun(running.app, 'jira', 2)
    for (const name of ['projects', 'issues']) {
      t.strictSame(await getFeature(running, name), { name, ...ENABLED_FEATURE })
    }
    t.strictSame(await getFeature(running, 'identity'), { name: 'identity', ...ENABLED_FEATURE })
    t.match(await listConnections(running), [{ state: 'active', last_error: null }])
    t.match((await getConnectionHistory(running)).json(), [
      { from: 'scope_missing', to: 'active', code: null },
      { from: null, to: 'scope_missing', code: 'scope_missing' }
    ])
    t.equal((await getConnectionHistory(running)).json().length, 2)
  }
)

t.test(
  'A scope that the gateway refuses turns the feature off without a refresh; a successful copy turns it on',
  async (t) => {
    const running = await startTestService(t)
    await connectJira(running)
    await running.sandbox.admin('faults', SCOPE_FAULT)
    const expectedError = { code: 'scope_missing', detail: /read:jira-work/ }
    t.match(await runSync(running), {
      state: 'partial',
      error: expectedError,
      failures: [{ collection: 'projects', site: ACME, remote_id: null, ...expectedError }],
      counts: { seen: 0 }
    })
    t.match(await listConnections(running), [
      {
        state: 'scope_missing',
        last_error: /\(read:jira-work\)/,
        next_try_at: null,
        last_refresh_at: null
      }
    ])
    t.match(await getFeature(running, 'projects'), { on: false, missing: ['read:jira-work'] })
    t.match(await getFeature(running, 'issues'), { on: true }, 'the other features stay on')
    t.match(
      (await checkConnection(running)).json(),
      { state: 'scope_missing' },
      'a list of sites does not prove the scope'
    )
    t.same(Object.keys((await getExchanges(running)) as object), ['authorization_code'])
    t.match(await runSync(running), { state: 'succeeded' })
    t.match(await listConnections(running), [{ state: 'active', last_error: null }])
    t.strictSame(await getFeature(running, 'projects'), { name: 'projects', ...ENABLED_FEATURE })
    t.same(Object.keys((await getExchanges(running)) as object), ['authorization_code'])
  }
)

t.test(
  'The history has one row and the log one event for each change, newest first, paginated',
  async (t) => {
    const running = await startTestService(t)
    await connectJira(running)
    for (let i = 0; i < 3; i++) {
      await running.sandbox.admin('faults', { ...SCOPE_FAULT, times: 2 })
      for (let same = 0; same < 3; same++) {
        running.advanceTime(1000)
        await runSync(running)
      }
    }
    const all = (await getConnectionHistory(running)).json() as Array<Record<string, any>>
    t.same(
      all.map(({ from, to }) => `${from} ${to}`),
      [
        ...Array.from({ length: 3 }, () => ['scope_missing active', 'active scope_missing']).flat(),
        'null active'
      ]
    )
    t.strictSame(Object.keys(all[1] ?? {}), ['id', 'at', 'from', 'to', 'code', 'detail'])
    t.match(all[1], { code: 'scope_missing', detail: /^The connection lacks .*\.$/ })
    t.ok(all.every(({ at }, i) => i === 0 || Date.parse(at) < Date.parse(all[i - 1]?.at)))
    t.strictSame(
      filterStateEvents(running)
        .toReversed()
        .map(({ from, to, reason, user_id: user, product }) => [from, to, reason, user, product]),
      all.map(({ from, to, code }) => [from, to, code, 1, 'jira'])
    )

    const paged: unknown[] = []
    let next: string | undefined = '/users/1/connections/jira/history?limit=3'
    const sizes: number[] = []
    while (next !== undefined) {
      const page: LightMyRequestResponse = await running.app.inject(next)
      sizes.push(page.json().length)
      paged.push(...page.json())
      next = resolveNextPage(next, page.headers.link)
    }
    t.same(sizes, [3, 3, 1])
    t.strictSame(paged, all)
    t.equal(
      (await getConnectionHistory(running, '?limit=7')).headers.link,
      undefined,
      'the last page has no link'
    )
    t.match((await getConnectionHistory(running, '?cursor=nonsense')).json(), {
      status: 400,
      code: 'invalid_cursor'
    })
    for (const query of ['limit=0', 'limit=1001', 'limit=x', 'page=2']) {
      t.match(
        (await getConnectionHistory(running, `?${query}`)).json(),
        { status: 422, code: 'validation_failed' },
        query
      )
    }
  }
)

t.test('A feature whose scopes no login requests is off and has no login link', async (t) => {
  const running = await startTestService(t, {
    JIRA_OAUTH_SCOPES: 'read:jira-user offline_access'
  })
  await connectJira(running)
  t.strictSame(await getFeature(running, 'projects'), {
    name: 'projects',
    on: false,
    missing: ['read:jira-work'],
    login_url: null
  })
})
