import t, { type Test } from 'tap'
import { startTestService } from '../auth/helper.ts'
import { answerConsentPage, Browser } from '../helper.ts'
import { connectFromLink, startFromLink } from './connect-links.ts'
import {
  buildBearerHeader,
  createApiKey,
  HTTPS_ENV,
  PROTECTED_ENV,
  startIdentityProvider
} from './helper.ts'

const COOKIE_NAME = '__Host-connect-session'

async function startBackEnd(t: Test, env: NodeJS.ProcessEnv = {}) {
  const running = await startTestService(t, {
    APP_ENV: 'production',
    ...PROTECTED_ENV,
    ...HTTPS_ENV,
    ...env
  })
  const { app } = running
  const { headers } = await createApiKey(app, ['connections:write', 'users:write'])
  const createSession = async (user: string | number, more: object = { products: ['jira'] }) =>
    (
      await app.inject({
        method: 'POST',
        url: '/connect-sessions',
        headers,
        payload: { user, ...more }
      })
    ).json() as { id: number; user_id: number; token: string; url: string }
  const isConnected = async (userId: number) =>
    (await app.store.connections.get(userId, 'jira')) !== undefined
  const read = async (userId: number, credential: Record<string, string>) =>
    (await app.inject({ url: `/users/${userId}/connections`, headers: credential })).statusCode
  return { ...running, headers, createSession, isConnected, read }
}

const readCookie = ({ cookies }: Browser) => cookies.get(COOKIE_NAME)

t.test(
  'T07 Programs that fetch a link use nothing up; HEAD and prefetch open nothing',
  async (t) => {
    const { app, createSession, isConnected } = await startBackEnd(t)
    const { user_id: id, url } = await createSession('ada@example.com')
    t.equal((await app.inject({ method: 'HEAD', url })).statusCode, 405)
    for (let i = 0; i < 5; i++) {
      const scanner = new Browser(app)
      t.match(await scanner.open(url), { statusCode: 200 })
      t.equal(readCookie(scanner), undefined)
      t.equal((await scanner.open(url, { 'sec-purpose': 'prefetch' })).statusCode, 403)
    }
    const forged = await new Browser(app).open(
      '/connect',
      { 'sec-fetch-site': 'cross-site' },
      { product: 'jira', token: new URL(url).searchParams.get('token') ?? '' }
    )
    t.equal(forged.statusCode, 403, 'a form of another site')
    t.equal(forged.headers['set-cookie'], undefined)
    t.match(
      (await connectFromLink(new Browser(app), url)).headers.location,
      /status=success/,
      'the person can still use the link'
    )
    t.ok(await isConnected(id))
  }
)

t.test('T07 A second link replaces a live session only after the person has agreed', async (t) => {
  const { app, createSession, isConnected } = await startBackEnd(t)
  const ada = await createSession('ada@example.com')
  const eve = await createSession('eve@example.com')
  const browser = new Browser(app)
  const plain = await browser.open(eve.url)
  await startFromLink(browser, ada.url)
  const adas = readCookie(browser)
  t.match((await browser.open(eve.url)).body, /connecting accounts for .*ada@example\.com/)
  t.equal(readCookie(browser), adas, 'the page replaces nothing')
  t.match(
    await browser.send(eve.url, plain, { product: 'jira' }),
    { statusCode: 409, body: /connecting accounts for .*ada@example\.com/ },
    'a page from before the session asks again'
  )
  t.match(await browser.send(eve.url, plain, { product: 'jira', replaces: '999' }), {
    statusCode: 409
  })
  t.equal(readCookie(browser), adas)
  const login = await browser.consent('jira')
  await browser.open(login)
  t.same([await isConnected(ada.user_id), await isConnected(eve.user_id)], [true, false])
  t.equal((await startFromLink(browser, eve.url)).statusCode, 303, 'the page that asks')
  t.not(readCookie(browser), adas)
})

t.test('A route ends a session, and with it the logins that it has started', async (t) => {
  const idp = await startIdentityProvider(t)
  const { app, headers, createSession, isConnected, read } = await startBackEnd(t, idp.env)
  const end = async (id: number, credential: Record<string, string>) =>
    (await app.inject({ method: 'DELETE', url: `/connect-sessions/${id}`, headers: credential }))
      .statusCode
  const ada = await createSession('ada@example.com')
  const browser = new Browser(app)
  const started = await startFromLink(browser, ada.url)
  const callback = await answerConsentPage(started.headers.location ?? '')
  const { url: ticket } = (
    await app.inject({ url: '/auth/jira/login', headers: buildBearerHeader(ada.token) })
  ).json()
  const eve = await createSession('eve@example.com')
  const person = buildBearerHeader(
    await idp.sign({ sub: 'eve', email: 'eve@example.com', email_verified: true })
  )
  t.equal(await end(ada.id, person), 404, 'a person ends only their own')
  t.equal(await end(ada.id, buildBearerHeader(eve.token)), 404, 'a session ends only itself')
  t.equal(await end(999, headers), 404)
  t.equal(await end(ada.id, {}), 401)
  t.equal(await read(ada.user_id, buildBearerHeader(ada.token)), 200)

  t.equal(await end(ada.id, headers), 204)
  const cookie = `${COOKIE_NAME}=${readCookie(browser) ?? ''}`
  t.same(
    [await read(ada.user_id, buildBearerHeader(ada.token)), await read(ada.user_id, { cookie })],
    [401, 401]
  )
  t.equal((await new Browser(app).open(ada.url)).statusCode, 401, 'its link')
  t.match((await browser.open(callback)).headers.location, /error=unknown_state/)
  t.equal((await browser.open(ticket as string)).statusCode, 400)
  t.notOk(await isConnected(ada.user_id))
  t.equal(await end(ada.id, headers), 404)
  t.equal(await end(eve.id, buildBearerHeader(eve.token)), 204, 'a session can end itself')
  const own = await createSession('eve@example.com')
  t.equal(await end(own.id, person), 204)
})

t.test('The page of an opened session can end it in this browser', async (t) => {
  const { app, createSession, read } = await startBackEnd(t)
  const { user_id: id, url, token } = await createSession('ada@example.com')
  const browser = new Browser(app)
  await startFromLink(browser, url)
  const page = await browser.open('/connect')
  t.match(page.body, /Stop connecting in this browser/)
  const formToken = /name="form_token" value="([^"]+)"/.exec(page.body)?.[1] ?? ''
  t.equal((await browser.open('/connect/end', {}, {})).statusCode, 403)
  t.equal(await read(id, buildBearerHeader(token)), 200)
  t.match(await browser.open('/connect/end', {}, { form_token: formToken }), { statusCode: 200 })
  t.equal(readCookie(browser), undefined)
  t.equal(await read(id, buildBearerHeader(token)), 401)
  t.equal((await browser.open('/connect')).statusCode, 401)
})

t.test('HEAD and prefetch do not exchange a code', async (t) => {
  const { app, createSession, isConnected, sandbox } = await startBackEnd(t)
  const { user_id: id, url } = await createSession('ada@example.com')
  const browser = new Browser(app)
  const started = await startFromLink(browser, url)
  const callback = await answerConsentPage(started.headers.location ?? '')
  const { pathname, search } = new URL(callback)
  const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  for (const path of [pathname, `/api${pathname}`, '/oauth/atlassian/callback']) {
    t.equal(
      (await app.inject({ method: 'HEAD', url: path + search, headers: { cookie } })).statusCode,
      405,
      path
    )
    t.equal(
      (await app.inject({ url: path + search, headers: { cookie, 'sec-purpose': 'prefetch' } }))
        .statusCode,
      403,
      path
    )
  }
  const { exchanges } = await sandbox.admin('stats', undefined, 'GET')
  t.same(exchanges, {})
  t.notOk(await isConnected(id))
  t.match((await browser.open(callback)).headers.location, /status=success/)
})
