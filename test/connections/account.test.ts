import t, { type Test } from 'tap'
import { DANA, SAM } from '../../src/sandbox/oauth/users.ts'
import { readAuditTrail } from '../audit/helper.ts'
import {
  editUrl,
  PRODUCTION_ENV,
  startTestService,
  buildSuccessUrl,
  type TestService
} from '../auth/helper.ts'
import {
  Browser,
  answerConsentPage,
  FRONTEND_URL,
  SERVICE_URL,
  waitForRun,
  type TestApp
} from '../helper.ts'
import { HOUR_MS } from '../time.ts'

const SAM_ACCOUNT_QUERY = '&sandbox_account=sam&sandbox_site=globex'

const getConnection = async ({ app }: TestApp, user = 1) =>
  (await app.inject(`/users/${user}/connections`)).json().connections[0]
const checkConnection = async ({ app }: TestApp, user = 1) =>
  await app.inject({ method: 'POST', url: `/users/${user}/connections/jira/check` })
const getConnectionHistory = async ({ app }: TestApp) =>
  (await app.inject('/users/1/connections/jira/history')).json() as Array<Record<string, unknown>>
const getStoredGrant = async ({ app }: TestApp, user = 1) =>
  (await app.store.connections.get(user, 'jira'))?.grant

async function listSourceSites({ app }: TestApp, user = 1): Promise<string[]> {
  const rows = (await app.inject(`/jira/projects/${user}`)).json() as Array<{ url: string | null }>
  return [
    ...new Set(
      rows.map(({ url }) =>
        url === null ? 'hand' : new URL(url).hostname.replace('.atlassian.net', '')
      )
    )
  ].sort()
}

async function runSync({ app }: TestApp, user = 1) {
  return await waitForRun(
    app,
    'jira',
    (await app.inject({ method: 'POST', url: `/integrations/jira/sync?owner_id=${user}` })).json()
      .id
  )
}

/** User 1, connected as Dana, with copies of acme and an item posted by hand. */
async function connectDana(
  t: Test,
  env: NodeJS.ProcessEnv = {}
): Promise<{ running: TestService; browser: Browser }> {
  const running = await startTestService(t, env)
  const browser = new Browser(running.app)
  await browser.connect('jira', '&state=email:ada@example.com')
  await waitForRun(running.app, 'jira')
  await running.app.inject({
    method: 'POST',
    url: '/jira/projects',
    payload: { owner_id: 1, key: 'HAND', name: 'By hand' }
  })
  return { running, browser }
}

/** Asserts that the connection is unchanged and works. */
async function assertConnectionUnchanged(
  t: Test,
  running: TestService,
  before: unknown
): Promise<void> {
  t.strictSame(
    await getStoredGrant(running),
    before,
    'the stored tokens are the same, byte for byte'
  )
  t.match(await getConnection(running), {
    state: 'active',
    account_id: DANA.accountId,
    site: { name: 'acme' },
    last_error: null
  })
  t.equal((await getConnectionHistory(running)).length, 1)
  t.same(await listSourceSites(running), ['acme', 'hand'])
  t.match(await runSync(running), { state: 'succeeded' })
  running.advanceTime(HOUR_MS)
  t.equal((await checkConnection(running)).statusCode, 200, 'the tokens can be refreshed')
}

t.test(
  'A8 T03 Reconnecting with another account changes nothing and ends as account_changed with a link',
  async (t) => {
    const { running, browser } = await connectDana(t)
    const before = await getStoredGrant(running)
    const callback = await browser.consent('jira', {
      query: '&state=user_id%3D1',
      extra: SAM_ACCOUNT_QUERY
    })
    const answer = await browser.open(callback)
    t.equal(answer.statusCode, 302)
    const { origin, pathname, searchParams } = new URL(answer.headers.location ?? '')
    t.same([origin, pathname], [FRONTEND_URL, '/oauth/jira'])
    const confirm = `${SERVICE_URL}/auth/jira/login?redirect=true&change_account=true&state=user_id%3D1`
    t.match(Object.fromEntries(searchParams), {
      provider: 'jira',
      status: 'error',
      error: 'account_changed',
      message: /^This Atlassian account differs from .*\.$/,
      confirm_url: confirm,
      request_id: answer.headers['x-request-id']
    })
    const asProgram = await browser.open(callback, { accept: 'application/json' })
    t.equal(asProgram.statusCode, 400)
    t.match(asProgram.json(), {
      status: 400,
      code: 'account_changed',
      confirm_url: confirm,
      detail: searchParams.get('message')
    })
    t.match(
      await browser.open(callback),
      { headers: { location: new RegExp(`confirm_url=${encodeURIComponent(confirm)}`) } },
      'a repeated callback gets the same outcome'
    )
    await assertConnectionUnchanged(t, running, before)
  }
)

t.test(
  'A8 T03 The other account replaces the first after the person confirms: copies, tokens and history follow',
  async (t) => {
    const { running, browser } = await connectDana(t)
    const before = await getStoredGrant(running)
    const ended = await browser.open(
      await browser.consent('jira', {
        query: '&state=user_id%3D1&return_url=/settings?tab=1',
        extra: SAM_ACCOUNT_QUERY
      })
    )
    const { pathname, searchParams } = new URL(ended.headers.location ?? '')
    t.same(
      [pathname, searchParams.get('tab'), searchParams.get('error')],
      ['/settings', '1', 'account_changed']
    )
    const page = (await browser.open(searchParams.get('confirm_url') ?? '')).headers.location ?? ''
    t.match(page, /\/connect\/continue\?ticket=[\w-]{43}$/)
    t.match((await browser.open(page)).body, /Replace the Jira account of ada@example\.com/)
    const start = await browser.submit(page)
    t.equal(start.statusCode, 303)
    await running.sandbox.admin('faults', {
      kind: 'delay',
      delay_ms: 200,
      match: { path: 'project/search' }
    })
    const callbackResponse = await browser.open(
      await answerConsentPage(start.headers.location ?? '', 'accept', SAM_ACCOUNT_QUERY)
    )
    t.equal(
      callbackResponse.headers.location,
      `${FRONTEND_URL}/settings?tab=1&status=success&user_id=1&state=user_id%3D1&connection_state=active`,
      'returns to the target of the first login'
    )
    t.same(
      await listSourceSites(running),
      ['hand'],
      "the first account's copies are erased before the other's are copied"
    )
    t.match(await waitForRun(running.app, 'jira', 2), { state: 'succeeded' })
    t.same(await listSourceSites(running), ['globex', 'hand'])
    t.match(await getConnection(running), {
      state: 'active',
      account_id: SAM.accountId,
      site: { name: 'globex' },
      sites: [{ name: 'globex' }]
    })
    t.equal((await getConnection(running)).sites.length, 1)
    t.equal(
      await running.app.store.grants.get(before?.id ?? ''),
      undefined,
      "the first account's tokens are erased"
    )
    t.match(await getConnectionHistory(running), [
      { to: 'active', code: null },
      { from: null, to: 'active' }
    ])
    t.equal((await getConnectionHistory(running)).length, 2, 'the history has the change')
    t.equal(running.lines().filter(({ event }) => event === 'connection_state_changed').length, 2)
  }
)

t.test(
  'A8 T03 A confirmation that is ignored, declined or completed with the first account changes nothing',
  async (t) => {
    const { running, browser } = await connectDana(t)
    const ended = await browser.open(
      await browser.consent('jira', { query: '&state=user_id%3D1', extra: SAM_ACCOUNT_QUERY })
    )
    const confirm = new URL(ended.headers.location ?? '').searchParams.get('confirm_url') ?? ''
    const before = await getStoredGrant(running)
    const open = async () => {
      const page = (await browser.open(confirm)).headers.location ?? ''
      return (await browser.submit(page)).headers.location ?? ''
    }
    const [declined, asDana] = [await open(), await open()]
    t.match(
      (await browser.open(await answerConsentPage(declined, 'cancel'))).headers.location,
      /error=access_denied/
    )
    t.strictSame(await getStoredGrant(running), before)
    t.match(
      (await browser.open(await answerConsentPage(asDana))).headers.location,
      /status=success/
    )
    t.match(await getConnection(running), { account_id: DANA.accountId, site: { name: 'acme' } })
    t.same(await listSourceSites(running), ['acme', 'hand'], 'the same account keeps its copies')
    t.match(
      (
        await browser.open(
          await browser.consent('jira', { query: '&state=user_id%3D1', extra: SAM_ACCOUNT_QUERY })
        )
      ).headers.location,
      /error=account_changed/,
      'a confirmation is valid once'
    )
  }
)

t.test(
  'A8 T03 Without a front end, a built-in page offers both choices, only to the browser of the login',
  async (t) => {
    const { running } = await connectDana(t, { APP_FRONTEND_URL: '' })
    const browser = new Browser(running.app)
    const asBob = '&state=email:bob%2Bx@example.com'
    await browser.connect('jira', asBob)
    const before = await getStoredGrant(running)
    const ended = await browser.open(
      await browser.consent('jira', { query: asBob, extra: SAM_ACCOUNT_QUERY })
    )
    const address = ended.headers.location ?? ''
    t.match(address, new RegExp(`^${SERVICE_URL}/oauth/jira\\?`))
    const page = await browser.open(address)
    t.match(
      page.body,
      new RegExp(
        '<h1>The Jira connection is unchanged</h1><p>This is not the Atlassian account ' +
          String.raw`that is connected\. Nothing was changed\.</p>`
      )
    )
    const ways = new Map(
      [...page.body.matchAll(/<a class="button" href="([^"]+)">([^<]+)<\/a>/g)].map(
        ([, href = '', text]) => [
          text,
          new URL(href.replaceAll('&#38;', '&').replaceAll('&amp;', '&'), address).href
        ]
      )
    )
    t.strictSame(
      [await getStoredGrant(running), await getStoredGrant(running, 2)],
      [before, before],
      'both users share one account, and nothing of it changed'
    )
    const first = await browser.open(ways.get('Log in with the connected account') ?? '')
    t.match(
      (await browser.open(await answerConsentPage(first.headers.location ?? ''))).headers.location,
      /status=success&user_id=2&/
    )
    const confirmPage = await browser.open(ways.get('Connect the other account instead') ?? '')
    const other = await browser.submit(confirmPage.headers.location ?? '')
    t.match(
      (
        await browser.open(
          await answerConsentPage(other.headers.location ?? '', 'accept', SAM_ACCOUNT_QUERY)
        )
      ).headers.location,
      /status=success&user_id=2&/
    )
    t.match(
      [await getConnection(running), await getConnection(running, 2)],
      [{ account_id: DANA.accountId }, { account_id: SAM.accountId }]
    )
  }
)

t.test('A8 T03 The page links only to this service, whatever its address contains', async (t) => {
  const { app } = await startTestService(t, { APP_FRONTEND_URL: '' })
  for (const confirm of [
    'https://evil.example/auth?state=user_id%3D2',
    'javascript:alert(1)',
    '"><script>',
    `${SERVICE_URL}/auth/jira/login?state=%22%3E%3Cscript%3E`
  ]) {
    const { body } = await app.inject(
      '/oauth/jira?provider=jira&status=error&error=account_changed' +
        `&message=${encodeURIComponent(confirm)}&confirm_url=${encodeURIComponent(confirm)}`
    )
    t.notMatch(body, /evil|javascript|<script/)
    for (const [, href] of body.matchAll(/<a href="([^"]+)"/g)) {
      t.match(href, /^\.\.\/auth\/jira\/login\?redirect=true/)
    }
  }
})

t.test(
  "A8 T03 A code of another person's login, injected into one's own flow, does not replace the account",
  async (t) => {
    for (const env of [PRODUCTION_ENV, {}]) {
      const { running, browser: ada } = await connectDana(t, env)
      const before = await getStoredGrant(running)
      const bob = new Browser(running.app)
      const stolen =
        new URL(
          await bob.consent('jira', {
            query: '&state=email:bob@example.com',
            extra: SAM_ACCOUNT_QUERY
          })
        ).searchParams.get('code') ?? ''
      const own = await ada.consent('jira', { query: '&state=user_id%3D1' })
      const { headers } = await ada.open(
        editUrl(own, (query) => {
          query.set('code', stolen)
        })
      )
      t.match(headers.location, /status=error&error=account_changed&/)
      t.same((await running.app.inject('/users')).json().length, 1, 'no user was created')
      await assertConnectionUnchanged(t, running, before)
    }
  }
)

t.test(
  'A8 T03 Of two concurrent first logins with two accounts, one is kept and the other gets account_changed',
  async (t) => {
    const running = await startTestService(t)
    const [dana, sam] = [new Browser(running.app), new Browser(running.app)]
    await running.app.inject({
      method: 'POST',
      url: '/users',
      payload: { email: 'ada@example.com' }
    })
    const callbacks = [
      await dana.consent('jira'),
      await sam.consent('jira', { extra: SAM_ACCOUNT_QUERY })
    ]
    const ended = await Promise.all([dana.open(callbacks[0] ?? ''), sam.open(callbacks[1] ?? '')])
    const [first, second] = ended.map(({ headers }) => new URL(headers.location ?? '').searchParams)
    t.same([first?.get('error'), second?.get('error')].sort(), ['account_changed', null])
    t.equal(
      (await getConnection(running)).account_id,
      first?.get('error') === null ? DANA.accountId : SAM.accountId
    )
    t.equal((await getConnectionHistory(running)).length, 1)
    await waitForRun(running.app, 'jira')
  }
)

t.test(
  'A8 Two users who connect the same account share its tokens; disconnecting one leaves the other intact',
  async (t) => {
    const { running } = await connectDana(t)
    t.equal(
      (await new Browser(running.app).connect('jira', '&state=email:bob@example.com')).headers
        .location,
      buildSuccessUrl('jira', 2, 'email:bob@example.com')
    )
    await waitForRun(running.app, 'jira', 2)
    t.match(
      [await getConnection(running), await getConnection(running, 2)],
      [
        { state: 'active', account_id: DANA.accountId },
        { state: 'active', account_id: DANA.accountId }
      ]
    )
    t.equal((await getStoredGrant(running))?.id, (await getStoredGrant(running, 2))?.id)
    running.advanceTime(HOUR_MS)
    for (const user of [1, 2]) t.equal((await checkConnection(running, user)).statusCode, 200)
    t.match(
      (await running.sandbox.admin('stats', undefined, 'GET')).exchanges,
      { refresh_token: { ok: 1 } },
      'one refresh serves both'
    )
    t.same(
      [
        (await getConnection(running)).last_refresh_at,
        (await getConnection(running, 2)).last_refresh_at
      ].map(Boolean),
      [true, true]
    )
    const disconnectResponse = await running.app.inject({
      method: 'DELETE',
      url: '/users/1/connections/jira'
    })
    t.match(disconnectResponse.json(), { tokens: 'kept' })
    t.same(
      [await listSourceSites(running), await listSourceSites(running, 2)],
      [['hand'], ['acme']]
    )
    running.advanceTime(HOUR_MS)
    t.match(await runSync(running, 2), { state: 'succeeded' })
    t.match(
      (await running.app.inject({ method: 'DELETE', url: '/users/2/connections/jira' })).json(),
      { tokens: 'erased' }
    )
  }
)

t.test(
  'A8 When one of two users changes to another account, the other keeps the first',
  async (t) => {
    const { running, browser } = await connectDana(t)
    await new Browser(running.app).connect('jira', '&state=email:bob@example.com')
    await waitForRun(running.app, 'jira', 2)
    await browser.open(
      await browser.consent('jira', {
        query: '&state=user_id%3D1&change_account=true',
        extra: SAM_ACCOUNT_QUERY
      })
    )
    await waitForRun(running.app, 'jira', 3)
    t.match(
      [await getConnection(running), await getConnection(running, 2)],
      [{ account_id: SAM.accountId }, { account_id: DANA.accountId }]
    )
    t.match((await readAuditTrail(running.app)).at(-1), {
      action: 'account_changed',
      user_id: 1,
      product: 'jira',
      actor: { kind: 'anonymous' }
    })
    running.advanceTime(HOUR_MS)
    for (const user of [1, 2]) t.match(await runSync(running, user), { state: 'succeeded' })
    t.same(
      [await listSourceSites(running), await listSourceSites(running, 2)],
      [['globex', 'hand'], ['acme']]
    )
  }
)
