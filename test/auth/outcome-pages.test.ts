import t from 'tap'
import { KEY, createSecret } from '../../src/access/secrets.ts'
import { Browser, OAUTH_CLIENTS, waitForRun, type TestApp } from '../helper.ts'
import { ACME, GLOBEX } from '../sandbox/helper.ts'
import { startTestService, type TestService } from './helper.ts'

const PAGES_ENV = { APP_FRONTEND_URL: '', SYNC_INTERVAL: '0' }
const accountClients = OAUTH_CLIENTS.map((client) => ({ ...client, access: 'account' as const }))
const ADMIN_KEY = createSecret(KEY)

/** Connects Jira, and opens the page that the browser is sent to. */
async function connect(browser: Browser, query = '', extra = '') {
  const landed = await browser.open(await browser.consent('jira', { query, extra }))
  const location = landed.headers.location ?? ''
  return { location, page: await browser.open(location) }
}

const getHeading = (body: string) => /<h1>(.*?)<\/h1>/.exec(body)?.[1]
const getFormToken = (body: string) => /name="form_token" value="([^"]+)"/.exec(body)?.[1] ?? ''
const listChoices = (body: string) =>
  [...body.matchAll(/value="([^"]+)"( checked)?>/g)]
    .filter(([, value]) => value === ACME || value === GLOBEX)
    .map(([, value, ticked]) => [value, ticked !== undefined])

async function postSites(browser: Browser, fields: Array<[string, string]>) {
  return await browser.app.inject({
    method: 'POST',
    url: '/oauth/jira/sites',
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      accept: 'text/html',
      cookie: [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    },
    payload: new URLSearchParams(fields).toString()
  })
}

const getConnection = async ({ app }: TestApp) =>
  (await app.inject('/users/1/connections')).json().connections[0]

t.test('The page shows the live progress of the copy, and then that it is complete', async (t) => {
  const service = await startTestService(t, PAGES_ENV)
  await service.sandbox.admin('faults', {
    kind: 'delay',
    delay_ms: 3_000,
    match: { path: 'project/search' }
  })
  const browser = new Browser(service.app)
  const { location, page } = await connect(browser)
  t.match(location, /\/oauth\/jira\?status=success&user_id=1&connection_state=active$/)
  t.equal(getHeading(page.body), 'Jira is connected')
  t.match(page.body, /The copy goes on|the copy goes on/)
  t.equal(page.headers.refresh, '3', 'the page loads itself again, without a script')
  t.notMatch(page.body, /<script/)
  await waitForRun(service.app, 'jira')
  const done = await browser.open(location)
  t.equal(getHeading(done.body), 'Jira is connected and copied')
  t.equal(done.headers.refresh, undefined)
  t.match(done.headers['content-security-policy'], /form-action 'none'/)
})

t.test(
  'A consent to several sites offers the choice, and the choice starts the copy',
  async (t) => {
    const service = await startTestService(t, PAGES_ENV, { clients: accountClients })
    const browser = new Browser(service.app)
    const { location, page } = await connect(browser)
    t.match(location, /connection_state=needs_site$/)
    t.equal(getHeading(page.body), 'Choose a site for Jira')
    t.match(page.headers['content-security-policy'], /form-action 'self'/)
    t.same(listChoices(page.body), [
      [ACME, false],
      [GLOBEX, false]
    ])
    const token = getFormToken(page.body)

    t.test('but not without the token of the form, or in another browser', async (t) => {
      for (const [from, fields] of [
        [browser, [['cloud_id', GLOBEX]]],
        [
          browser,
          [
            ['cloud_id', GLOBEX],
            ['form_token', `${token.slice(1)}x`]
          ]
        ],
        [
          new Browser(service.app),
          [
            ['cloud_id', GLOBEX],
            ['form_token', token]
          ]
        ]
      ] as Array<[Browser, Array<[string, string]>]>) {
        const refused = await postSites(from, fields)
        t.equal(refused.statusCode, 403)
        t.match(refused.headers['content-type'], /text\/html/)
      }
      t.equal((await getConnection(service)).state, 'needs_site')
    })

    t.test('nor without a site, or with one that the consent does not reach', async (t) => {
      for (const ids of [[], ['8f0c1d3e-2222-4b4b-9a9a-000000000003'], ['"><script>']]) {
        const refused = await postSites(browser, [
          ['form_token', token],
          ...ids.map((id): [string, string] => ['cloud_id', id])
        ])
        t.equal(refused.statusCode, 422)
        t.notMatch(refused.body, /<script>/)
      }
    })

    const chosen = await postSites(browser, [
      ['form_token', token],
      ['cloud_id', GLOBEX]
    ])
    t.equal(chosen.statusCode, 303)
    t.equal(chosen.headers.location, '../jira?status=success&choose=done')
    t.match(await getConnection(service), { state: 'active', site: { cloud_id: GLOBEX } })
    t.match(await waitForRun(service.app, 'jira', 2), { state: 'succeeded' })
    const after = await browser.open('/oauth/jira?status=success&choose=done')
    t.equal(getHeading(after.body), 'Jira is connected and copied')
    t.match(after.body, /choose=sites">Change the sites/)
  }
)

t.test('A site that the person has just allowed is offered first, and ticked', async (t) => {
  const service = await startTestService(t, PAGES_ENV)
  const browser = new Browser(service.app)
  await connect(browser, '', '&sandbox_site=acme')
  await waitForRun(service.app, 'jira')
  const { location, page } = await connect(browser, '&state=user_id%3D1', '&sandbox_site=globex')
  t.match(location, /connection_state=active$/, 'the earlier site is still copied')
  t.equal(getHeading(page.body), 'Which Jira sites shall be copied?')
  t.same(listChoices(page.body), [
    [GLOBEX, true],
    [ACME, true]
  ])
})

t.test('Missing scopes are named, and a button asks for them', async (t) => {
  const service = await startTestService(t, PAGES_ENV)
  const browser = new Browser(service.app)
  const { location, page } = await connect(browser, '&scope=read:jira-user')
  t.match(location, /connection_state=scope_missing$/)
  t.equal(getHeading(page.body), 'Jira is connected, but scopes are missing')
  t.match(page.body, /<code>read:jira-work<\/code>/)
  const [, href = ''] = /class="button" href="([^"]+)"/.exec(page.body) ?? []
  const login = new URL(href.replaceAll('&#38;', '&'), 'http://localhost:3001/oauth/jira')
  t.equal(
    login.searchParams.get('scope')?.split(' ').sort().join(' '),
    'offline_access read:jira-user read:jira-work read:me'
  )
  const start = await browser.open(login.href)
  t.equal(start.statusCode, 307)

  t.test('or the operator is told, where the app does not request them', async (t) => {
    const other = await startTestService(t, { ...PAGES_ENV, JIRA_OAUTH_SCOPES: 'read:jira-user' })
    const { page: told } = await connect(new Browser(other.app))
    t.match(told.body, /The operator has to enable read:jira-work .* JIRA_OAUTH_SCOPES/)
    t.notMatch(told.body, /class="button"/)
  })
})

t.test('A copy that fails says why, and when it is tried again', async (t) => {
  const service = await startTestService(t, { APP_FRONTEND_URL: '' })
  for (const path of ['project/search', 'search/', 'bulkfetch']) {
    await service.sandbox.admin('faults', {
      kind: 'status',
      status: 403,
      body: { errorMessages: ['No'] },
      match: { path },
      times: 1_000
    })
  }
  const browser = new Browser(service.app)
  const { location } = await connect(browser)
  await waitForRun(service.app, 'jira')
  const failed = await browser.open(location)
  t.equal(getHeading(failed.body), 'Jira is connected, but the copy failed')
  t.match(failed.body, /HTTP 403.* It is tried again at \d\d:\d\d UTC\./)
})

t.test('In protected mode the page shows and links only what this person may open', async (t) => {
  const service = await startTestService(t, {
    ...PAGES_ENV,
    API_ACCESS: 'protected',
    BOOTSTRAP_API_KEY: ADMIN_KEY
  })
  const { app } = service
  const session = await app.inject({
    method: 'POST',
    url: '/connect-sessions',
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
    payload: { user: 'ada@example.com', products: ['jira'] }
  })
  const browser = new Browser(app)
  await browser.submit(session.json().url as string, { product: 'jira' })
  const { location, page } = await connect(browser)
  t.match(page.body, /href="\.\.\/users\/1\/connections"/)
  t.notMatch(page.body, /integrations/)
  for (const [, href = ''] of page.body.matchAll(/href="\.\.([^"]+)"/g)) {
    t.equal((await browser.open(href)).statusCode, 200, href)
  }

  t.test('Another browser learns nothing from the URL', async (t) => {
    const other = await new Browser(app).open(location)
    t.equal(getHeading(other.body), 'Jira is connected')
    t.notMatch(other.body, /acme|users\/1|integrations|Read so far/)
    t.equal(other.headers.refresh, undefined)
    const claimed = await new Browser(app).open(
      '/oauth/jira?status=success&user_id=1&connection_state=needs_site'
    )
    t.match(claimed.body, /choose a site where you started the login/)
  })

  t.test('A failed login offers no login that would be refused', async (t) => {
    const failed = await new Browser(app).open('/oauth/jira?status=error&error=access_denied')
    t.notMatch(failed.body, /href="\.\.\/auth/)
    t.match((await browser.open('/oauth/jira?status=error&error=access_denied')).body, /Try again/)
  })
})

t.test('The page forgets the login after half an hour', async (t) => {
  const service: TestService = await startTestService(
    t,
    { ...PAGES_ENV, API_ACCESS: 'public' },
    { clients: accountClients }
  )
  const browser = new Browser(service.app)
  const { location, page } = await connect(browser)
  service.advanceTime(31 * 60_000)
  t.notMatch((await browser.open(location)).body, /<form/)
  const late = await postSites(browser, [
    ['form_token', getFormToken(page.body)],
    ['cloud_id', ACME]
  ])
  t.equal(late.statusCode, 403)
})

t.test('Without a front end an unusable return_url is ignored, with a log line', async (t) => {
  const service = await startTestService(t, PAGES_ENV)
  const browser = new Browser(service.app)
  const { location } = await connect(
    browser,
    `&return_url=${encodeURIComponent('http://localhost:3000/oauth/jira')}`
  )
  t.match(location, /^http:\/\/localhost:3001\/oauth\/jira\?status=success/)
  t.equal(service.lines().filter(({ event }) => event === 'return_url_ignored').length, 1)
})

t.test('A browser that navigates to a login that cannot start gets a page', async (t) => {
  const { app } = await startTestService(t, {
    ...PAGES_ENV,
    APP_ENV: 'production',
    JIRA_OAUTH_CLIENT_SECRET: ''
  })
  const navigation = {
    accept: 'text/html',
    'sec-fetch-mode': 'navigate',
    'sec-fetch-dest': 'document'
  }
  const page = await app.inject({ url: '/auth/jira/login', headers: navigation })
  t.equal(page.statusCode, 400)
  t.match(page.headers['content-type'], /text\/html/)
  t.match(page.body, /JIRA_OAUTH_CLIENT_SECRET missing/)
  for (const headers of [{ accept: '*/*' }, { ...navigation, 'sec-fetch-mode': 'cors' }]) {
    const problem = await app.inject({ url: '/auth/jira/login', headers })
    t.match(problem.json(), { status: 400, code: 'oauth_not_configured' })
  }
})
