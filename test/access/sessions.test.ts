import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startTestService, type TestService } from '../auth/helper.ts'
import { readDatabaseContents, ensureDatabase, queryDatabase } from '../database.ts'
import { Browser, buildTestApp, answerConsentPage, FRONTEND_URL } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import {
  buildBearerHeader,
  HTTPS_ENV,
  createApiKey,
  PROTECTED_ENV,
  startIdentityProvider
} from './helper.ts'
import { connectFromLink, startFromLink } from './connect-links.ts'

const SAM_ACCOUNT_QUERY = '&sandbox_account=sam'
const FIFTEEN_MINUTES_MS = 15 * 60_000
const PROTECTED_PRODUCTION_ENV = { APP_ENV: 'production', ...PROTECTED_ENV, ...HTTPS_ENV }
const COOKIE_NAME = '__Host-connect-session'

interface ConnectSession {
  id: number
  user_id: number
  products: string[]
  token: string
  url: string
  expires_at: string
}

/** A back end that creates connect sessions. */
async function createBackEnd({ app }: Pick<TestService, 'app'>) {
  const { headers } = await createApiKey(app, [
    'connections:write',
    'connections:read',
    'users:write'
  ])
  const requestSession = async (payload: object) =>
    await app.inject({ method: 'POST', url: '/connect-sessions', headers, payload })
  return {
    headers,
    ask: requestSession,
    createSession: async (payload: object): Promise<ConnectSession> =>
      (await requestSession(payload)).json()
  }
}

const getConnection = async ({ app }: Pick<TestService, 'app'>, userId: number) =>
  (await app.store.connections.get(userId, 'jira'))?.connection

t.test(
  'One person opens the link of a connect session, connects their account, and returns to the return_url',
  async (t) => {
    const file = join(createTempFolder(t), 'c.db')
    const url = await ensureDatabase(t, file)
    const running = await startTestService(t, {
      ...PROTECTED_PRODUCTION_ENV,
      INTEGRATION_DB_URL: url
    })
    const { app, logText } = running
    const { headers, ask } = await createBackEnd(running)
    await app.inject({
      method: 'POST',
      url: '/users',
      headers,
      payload: { email: 'first@example.com' }
    })
    const made = await ask({
      user: 'ada@example.com',
      products: ['jira'],
      return_url: '/settings?tab=1'
    })
    t.equal(made.statusCode, 201)
    const { user_id: id, token, url: link, expires_at: until } = made.json() as ConnectSession
    t.match(made.json(), {
      user_id: 2,
      products: ['jira'],
      token: /^cs_[\w-]{43}$/,
      url: /^https:\/\/app\.example\.com\/connect\?token=cs_[\w-]{43}$/
    })
    t.ok(Math.abs(Date.parse(until) - Date.now() - FIFTEEN_MINUTES_MS) < 60_000)
    const inLink = new URL(link).searchParams.get('token') ?? ''

    const browser = new Browser(app)
    t.match(await browser.open(link), {
      statusCode: 200,
      headers: { 'referrer-policy': 'no-referrer', 'cache-control': 'no-store' },
      body: /<h1>Connect Jira for ada@example\.com<\/h1>/
    })
    const opened = await startFromLink(browser, link)
    t.match(opened, {
      statusCode: 303,
      headers: {
        location: new RegExp(`^${running.sandbox.url}/authorize`),
        'referrer-policy': 'no-referrer',
        'cache-control': 'no-store'
      }
    })
    const [cookie = ''] = opened.headers['set-cookie'] as string[]
    t.match(
      cookie,
      /^__Host-connect-session=[\w-]{43,}; Max-Age=900; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
      'C11'
    )
    t.ok(cookie.length < 4_096)
    const login = await browser.open('/auth/jira/login?redirect=true&state=user_id%3D1')
    t.equal(login.statusCode, 307)
    const started = await browser.submit(login.headers.location ?? '')
    const back = await browser.open(await answerConsentPage(started.headers.location as string))
    t.equal(
      back.headers.location,
      `${FRONTEND_URL}/settings?tab=1&status=success&user_id=${id}&state=user_id%3D1&connection_state=active`
    )
    t.same(
      [await getConnection(running, 1), (await getConnection(running, id))?.provider],
      [undefined, 'jira'],
      "belongs to the session's user, whatever the state says"
    )

    const value = browser.cookies.get(COOKIE_NAME) ?? ''
    for (const [text, where] of [
      [logText(), 'the log'],
      [await readDatabaseContents(url), 'the database'],
      [[opened, login, back].map((answer) => String(answer.headers.location)).join(), 'an address']
    ] as const) {
      for (const secret of [token, inLink, value]) {
        t.notOk(text.includes(secret.slice(3)), `${secret.slice(0, 3)} is not in ${where}`)
      }
    }
    t.match(await queryDatabase(url, 'select hash, browser_hash from sessions'), [
      { hash: /^[\w-]{43}$/, browser_hash: /^[\w-]{43}$/ }
    ])
  }
)

t.test(
  'A link works only in the first browser that opens it; its URL holds nothing another browser can use',
  async (t) => {
    const running = await startTestService(t, PROTECTED_PRODUCTION_ENV)
    const { app } = running
    const { createSession } = await createBackEnd(running)
    const {
      user_id: id,
      token,
      url: link
    } = await createSession({ user: 'ada@example.com', products: ['jira'] })
    const [first, second] = [new Browser(app), new Browser(app)]
    t.equal((await startFromLink(first, link)).statusCode, 303)
    t.equal(
      (await startFromLink(first, link)).statusCode,
      303,
      'the same browser can open it again'
    )
    const refused = await second.open(link)
    t.match(refused, {
      statusCode: 401,
      headers: { 'content-type': /^text\/html/, 'content-security-policy': /default-src 'none'/ },
      body: /This link has expired, or another browser has opened it/
    })
    t.equal(second.cookies.size, 0)
    t.match((await app.inject({ url: link, headers: { accept: 'application/json' } })).json(), {
      status: 401,
      code: 'unauthenticated',
      detail: /^This link has expired/
    })
    const inLink = new URL(link).searchParams.get('token') ?? ''
    const read = async (headers: Record<string, string>) =>
      (await app.inject({ url: `/users/${id}/connections`, headers })).statusCode
    t.equal(await read(buildBearerHeader(inLink)), 401, 'the URL holds no token')
    t.equal(
      (await second.open(`/connect?token=${token}`)).statusCode,
      401,
      'the token does not work as a link'
    )
    t.same(
      [
        await read(buildBearerHeader(token)),
        await read({ cookie: `${COOKIE_NAME}=${first.cookies.get(COOKIE_NAME) ?? ''}` })
      ],
      [200, 200]
    )
    const [one, two] = await Promise.all(
      [new Browser(app), new Browser(app)].map(
        async (browser) =>
          (await startFromLink(browser, (await createSession({ user: id })).url)).statusCode
      )
    )
    t.same([one, two], [303, 303])
    const { url: raced } = await createSession({ user: id })
    const pages = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const browser = new Browser(app)
        return { browser, page: await browser.open(raced) }
      })
    )
    const statuses = await Promise.all(
      pages.map(
        async ({ browser, page }) =>
          (await browser.send(raced, page, { product: 'jira' })).statusCode
      )
    )
    t.same(
      statuses.sort(),
      [303, ...Array.from({ length: 7 }, () => 401)],
      'one of eight concurrent requests succeeds'
    )
  }
)

t.test(
  'T07 Adopts no session cookie that existed before, and ignores one that a sibling domain can set',
  async (t) => {
    const running = await startTestService(t, PROTECTED_PRODUCTION_ENV)
    const { app } = running
    const { createSession } = await createBackEnd(running)
    const browser = new Browser(app)
    browser.cookies.set(COOKIE_NAME, 'chosen-by-somebody-else')
    const { user_id: id, url } = await createSession({
      user: 'ada@example.com',
      products: ['jira']
    })
    await startFromLink(browser, url)
    const value = browser.cookies.get(COOKIE_NAME) ?? ''
    t.not(value, 'chosen-by-somebody-else')
    const read = async (cookie: string) =>
      (await app.inject({ url: `/users/${id}/connections`, headers: { cookie } })).statusCode
    t.same(
      [
        await read(`${COOKIE_NAME}=${value}`),
        await read(`${COOKIE_NAME}=chosen-by-somebody-else`),
        await read(`connect-session=${value}`),
        await read(`__host-connect-session=${value}`)
      ],
      [200, 401, 401, 401]
    )
    const { url: next } = await createSession({ user: 'eve@example.com', products: ['jira'] })
    await startFromLink(browser, next)
    t.not(browser.cookies.get(COOKIE_NAME), value, 'each session has its own cookie')
    t.equal(
      (
        await app.inject({
          url: `/users/${id}/connections`,
          headers: { cookie: `${COOKIE_NAME}=${browser.cookies.get(COOKIE_NAME) ?? ''}` }
        })
      ).statusCode,
      404,
      'each session is one user'
    )
  }
)

t.test(
  'Connects only the products that the session names; with several, the person chooses',
  async (t) => {
    const running = await startTestService(t, PROTECTED_PRODUCTION_ENV)
    const { app } = running
    const { createSession } = await createBackEnd(running)
    const jira = await createSession({ user: 'ada@example.com', products: ['jira'] })
    t.match(
      (
        await app.inject({ url: '/auth/confluence/login', headers: buildBearerHeader(jira.token) })
      ).json(),
      { status: 403, code: 'forbidden', detail: 'This connect session is not for Confluence.' }
    )
    t.match(
      (
        await app.inject({ url: '/auth/jira/login', headers: buildBearerHeader(jira.token) })
      ).json(),
      {
        provider: 'jira',
        url: /^http/
      }
    )
    const both = await createSession({ user: 'ada@example.com' })
    t.same(both.products, ['jira', 'confluence'])
    const browser = new Browser(app)
    t.equal((await startFromLink(browser, both.url)).statusCode, 303)
    const page = await browser.open('/connect')
    t.match(page, {
      statusCode: 200,
      headers: { 'content-type': 'text/html; charset=utf-8' },
      body: /<h1>Connect Jira or Confluence for ada@example\.com<\/h1>/
    })
    t.same(
      [...page.body.matchAll(/name="product" value="(\w+)"/g)].map(([, product]) => product),
      ['jira', 'confluence']
    )
    t.notMatch(page.body, /<script|cs_/)
    t.match(
      (await browser.send('/connect', page, { product: 'confluence' })).headers.location,
      /client_id=confluence-app/
    )
    const narrow = new Browser(app)
    const narrowLink = (await createSession({ user: 'ada@example.com', products: ['confluence'] }))
      .url
    t.equal((await startFromLink(narrow, narrowLink)).statusCode, 403)
    await startFromLink(narrow, narrowLink, 'confluence')
    t.notMatch((await narrow.open('/connect')).body, /jira/)
    t.equal((await new Browser(app).open('/connect')).statusCode, 401)
  }
)

t.test('A session expires after 15 minutes: token, link and cookie', async (t) => {
  const running = await startTestService(t, PROTECTED_PRODUCTION_ENV)
  const { app, advanceTime } = running
  const { createSession } = await createBackEnd(running)
  const browser = new Browser(app)
  const {
    user_id: id,
    token,
    url
  } = await createSession({ user: 'ada@example.com', products: ['jira'] })
  const { url: unopened } = await createSession({ user: id })
  await startFromLink(browser, url)
  const statuses = async () => [
    (await app.inject({ url: `/users/${id}/connections`, headers: buildBearerHeader(token) }))
      .statusCode,
    (await browser.open(`/users/${id}/connections`)).statusCode,
    (await browser.open('/auth/jira/login?redirect=true')).statusCode,
    (await browser.open(url)).statusCode
  ]
  advanceTime(FIFTEEN_MINUTES_MS - 5_000)
  t.same(await statuses(), [200, 200, 307, 200])
  advanceTime(6_000)
  t.same(await statuses(), [401, 401, 401, 401])
  t.equal((await new Browser(app).open(unopened)).statusCode, 401)
  await app.store.connectSessions.purge()
  t.equal(await app.store.connectSessions.find({ hash: 'x' }), undefined)
})

t.test('C11 Cookies alone change nothing: another site cannot use a session', async (t) => {
  const running = await startTestService(t, {
    ...PROTECTED_PRODUCTION_ENV,
    BACKEND_CORS_ORIGINS: 'https://front.example'
  })
  const { app } = running
  const { createSession } = await createBackEnd(running)
  const browser = new Browser(app)
  const {
    id: session,
    user_id: id,
    url
  } = await createSession({
    user: 'ada@example.com',
    products: ['jira']
  })
  await connectFromLink(browser, url)
  const cookie = `${COOKIE_NAME}=${browser.cookies.get(COOKIE_NAME) ?? ''}`
  // The first sync still runs, and changes the time of the next one.
  const read = async () =>
    (await app.inject({ url: `/users/${id}/connections`, headers: { cookie } }))
      .json()
      .connections.map((connection: object) => ({ ...connection, next_sync_at: '' }))
  const before = await read()
  t.match(before, [{ product: 'jira' }])
  for (const origin of [
    'https://evil.example',
    'https://front.example',
    'null',
    'https://app.example.com.evil.example',
    'http://app.example.com'
  ]) {
    for (const [method, path] of [
      ['DELETE', `/users/${id}`],
      ['DELETE', `/users/${id}/connections/jira`],
      ['PATCH', `/users/${id}/connections/jira`],
      ['POST', `/users/${id}/connections/jira/check`],
      ['POST', '/integrations/jira/sync'],
      ['POST', '/connect-sessions'],
      ['DELETE', `/connect-sessions/${session}`],
      ['POST', '/integrations/jira/connect']
    ] as const) {
      const answer = await app.inject({ method, url: path, headers: { cookie, origin } })
      t.equal(answer.statusCode, 401, `${method} ${path} from ${origin}`)
      t.notOk('access-control-allow-credentials' in answer.headers)
    }
    const pageResponse = await app.inject({
      url: `/users/${id}/connections`,
      headers: { cookie, origin }
    })
    t.notOk(
      'access-control-allow-credentials' in pageResponse.headers,
      'another origin cannot read cookie-authenticated responses'
    )
  }
  t.equal(
    (await app.inject({ method: 'HEAD', url: `/users/${id}/connections`, headers: { cookie } }))
      .statusCode,
    200
  )
  t.same(await read(), before)
})

t.test(
  'Connecting again keeps the connection; another account replaces it only after the person confirms',
  async (t) => {
    const running = await startTestService(t, PROTECTED_PRODUCTION_ENV)
    const { app } = running
    const { createSession } = await createBackEnd(running)
    const { user_id: id, url } = await createSession({
      user: 'ada@example.com',
      products: ['jira']
    })
    t.match((await connectFromLink(new Browser(app), url)).headers.location, /status=success/)
    const connection = (await getConnection(running, id))?.id
    t.match(
      (
        await connectFromLink(
          new Browser(app),
          (await createSession({ user: id, products: ['jira'] })).url
        )
      ).headers.location,
      /status=success/
    )
    t.equal((await getConnection(running, id))?.id, connection)

    const browser = new Browser(app)
    const {
      headers: { location }
    } = await connectFromLink(
      browser,
      (await createSession({ user: id, products: ['jira'], return_url: '/done' })).url,
      { extra: SAM_ACCOUNT_QUERY }
    )
    const authorizeUrl = new URL(location as string)
    t.match(authorizeUrl.searchParams.get('error'), 'account_changed')
    const confirmPage = await browser.open(authorizeUrl.searchParams.get('confirm_url') ?? '')
    t.equal(confirmPage.statusCode, 307, 'with the same session')
    const confirm = await browser.submit(confirmPage.headers.location ?? '')
    const callbackResponse = await browser.open(
      await answerConsentPage(confirm.headers.location as string, 'accept', SAM_ACCOUNT_QUERY)
    )
    t.equal(
      callbackResponse.headers.location,
      `${FRONTEND_URL}/done?status=success&user_id=${id}&connection_state=active`
    )
    t.equal((await getConnection(running, id))?.id, connection)
  }
)

for (const copies of ['erase', 'keep']) {
  t.test(
    `T07 Removing a user with copies=${copies} ends their sessions and logins; their token makes a new user`,
    async (t) => {
      const idp = await startIdentityProvider(t)
      const running = await startTestService(t, { ...PROTECTED_PRODUCTION_ENV, ...idp.env })
      const { app } = running
      const { headers, createSession } = await createBackEnd(running)
      const person = buildBearerHeader(
        await idp.sign({ sub: 'ada', email: 'ada@example.com', email_verified: true })
      )
      const {
        user_id: id,
        token,
        url
      } = await createSession({ user: 'ada@example.com', products: ['jira'] })
      t.equal((await app.inject({ url: `/users/${id}`, headers: person })).statusCode, 200)
      const browser = new Browser(app)
      const login = await startFromLink(browser, url)
      const callback = await answerConsentPage(login.headers.location as string)
      t.equal(
        (await app.inject({ method: 'DELETE', url: `/users/${id}?copies=${copies}`, headers }))
          .statusCode,
        200
      )
      t.equal(
        (await app.inject({ url: `/users/${id}/connections`, headers: buildBearerHeader(token) }))
          .statusCode,
        401
      )
      t.equal((await browser.open(`/users/${id}/connections`)).statusCode, 401)
      t.match(
        (await browser.open(callback)).headers.location,
        /status=error&error=(unknown_state|user_not_found)/
      )
      t.equal((await app.inject({ url: `/users/${id}`, headers: person })).statusCode, 404)
      t.equal(await getConnection(running, id), undefined)
    }
  )
}

t.test('Rejects an invalid session request', async (t) => {
  const running = await startTestService(t, PROTECTED_PRODUCTION_ENV)
  const { ask } = await createBackEnd(running)
  const refused: Array<[object, number, string?]> = [
    [{ user: 99 }, 404],
    [{}, 422],
    [{ user: 0 }, 422],
    [{ user: '1' }, 422],
    [{ user: 'Ada <ada@example.com>' }, 422],
    [{ user: 'ada@example.com', products: [] }, 422],
    [{ user: 'ada@example.com', products: ['bitbucket'] }, 422],
    [{ user: 'ada@example.com', products: ['jira', 'jira'] }, 422],
    [{ user: 'ada@example.com', scopes: ['admin'] }, 422],
    ...[
      'https://evil.example/',
      '//evil.example',
      'https://front.example.evil.example/',
      'javascript:alert(1)',
      '/\\evil.example',
      'http://front.example:3000@evil.example/'
    ].map(
      (target) =>
        [{ user: 'ada@example.com', return_url: target }, 422, '/return_url'] as [
          object,
          number,
          string
        ]
    )
  ]
  for (const [payload, status, pointer] of refused) {
    const answer = await ask(payload)
    t.equal(answer.statusCode, status, JSON.stringify(payload))
    if (pointer !== undefined) t.match(answer.json(), { errors: [{ pointer }] })
  }
  t.equal((await running.app.store.users.list(10)).length, 0, 'no user was created')
})

t.test(
  'Instances share sessions: created at one, opened at another, used at a third',
  async (t: Test) => {
    const url = await ensureDatabase(t, join(createTempFolder(t), 'c.db'))
    const running = await startTestService(t, {
      ...PROTECTED_PRODUCTION_ENV,
      INTEGRATION_DB_URL: url
    })
    const env = {
      ...PROTECTED_PRODUCTION_ENV,
      INTEGRATION_DB_URL: url,
      APP_FRONTEND_URL: FRONTEND_URL,
      JIRA_OAUTH_CLIENT_ID: 'x',
      JIRA_OAUTH_CLIENT_SECRET: 'y'
    }
    const [second, third] = [await buildTestApp(t, env), await buildTestApp(t, env)]
    const { headers, createSession } = await createBackEnd(running)
    const {
      user_id: id,
      token,
      url: link
    } = await createSession({ user: 'ada@example.com', products: ['jira'] })
    const browser = new Browser(second.app)
    t.equal((await startFromLink(browser, link)).statusCode, 303)
    t.equal((await new Browser(third.app).open(link)).statusCode, 401)
    const cookie = `${COOKIE_NAME}=${browser.cookies.get(COOKIE_NAME) ?? ''}`
    const read = async (credential: Record<string, string>) =>
      (await third.app.inject({ url: `/users/${id}/connections`, headers: credential })).statusCode
    t.same([await read(buildBearerHeader(token)), await read({ cookie })], [200, 200])
    t.equal(
      (await running.app.inject({ method: 'DELETE', url: `/users/${id}`, headers })).statusCode,
      200
    )
    t.same(
      [await read(buildBearerHeader(token)), await read({ cookie })],
      [401, 401],
      'effective at once on every instance'
    )
  }
)
