import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { startTestService } from '../auth/helper.ts'
import { readDatabaseContents, ensureDatabase } from '../database.ts'
import { answerConsentPage, Browser } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import {
  buildBearerHeader,
  createApiKey,
  HTTPS_ENV,
  PROTECTED_ENV,
  startIdentityProvider
} from './helper.ts'

const PRODUCTION = { APP_ENV: 'production', ...PROTECTED_ENV, ...HTTPS_ENV }
const TICKET_URL = /^https:\/\/app\.example\.com\/connect\/continue\?ticket=[\w-]{43}$/

/** A service with a person, whose login has returned a ticket. */
async function startPersonLogin(t: Test, query = '', env: NodeJS.ProcessEnv = {}) {
  const idp = await startIdentityProvider(t)
  const running = await startTestService(t, { ...PRODUCTION, ...idp.env, ...env })
  const { app } = running
  const ada = buildBearerHeader(
    await idp.sign({ sub: 'ada', email: 'ada@example.com', email_verified: true })
  )
  const login = async (headers: Record<string, string> = ada) =>
    await app.inject({ url: `/auth/jira/login${query}`, headers })
  const { url } = (await login()).json() as { url: string }
  const getAccount = async () =>
    (await app.inject({ url: '/users/1/connections', headers: ada })).json().connections[0]
      ?.account_id as string | undefined
  return { ...running, ada, idp, login, url, getAccount }
}

t.test(
  'T02 A person and a connect session get a page of this service, never the address of Atlassian',
  async (t) => {
    const { app, ada, login, url, getAccount } = await startPersonLogin(t)
    t.match(url, TICKET_URL)
    const { headers } = await createApiKey(app, ['connections:write'])
    const { token } = (
      await app.inject({ method: 'POST', url: '/connect-sessions', headers, payload: { user: 1 } })
    ).json()
    const session = buildBearerHeader(token as string)
    for (const credential of [ada, session]) {
      t.match((await login(credential)).json().url, TICKET_URL)
      const redirected = await app.inject({
        url: '/auth/jira/login?redirect=true',
        headers: credential
      })
      t.match(redirected, { statusCode: 307, headers: { location: TICKET_URL } })
      t.equal(redirected.headers['set-cookie'], undefined)
    }

    const browser = new Browser(app)
    const page = await browser.open(url)
    t.match(page, {
      statusCode: 200,
      headers: {
        'cache-control': 'no-store',
        'referrer-policy': 'no-referrer',
        'content-security-policy': /default-src 'none'.*frame-ancestors 'none'/
      },
      body: /<h1>Connect Jira for ada@example\.com<\/h1>/
    })
    t.match(
      page.headers['set-cookie'],
      /^__Host-connect-page=[\w-]{43}; Max-Age=900; Path=\/; HttpOnly; Secure; SameSite=Strict$/
    )
    t.notMatch(page.body, /<script|authorize/)
    const started = await browser.send(url, page)
    t.match(started, {
      statusCode: 303,
      headers: { 'set-cookie': /^__Host-flow-[\w-]{12}=[\w-]{43}; Max-Age=600; .*HttpOnly; Secure/ }
    })
    const callback = await answerConsentPage(started.headers.location as string)
    t.match(
      (await new Browser(app).open(callback)).headers.location,
      /error=wrong_browser/,
      'another browser cannot finish the login'
    )
    t.equal(await getAccount(), undefined)
    t.match((await browser.open(callback)).headers.location, /status=success&user_id=1/)
    t.ok(await getAccount())
  }
)

t.test('T02 A ticket works once, for a minute, and only by the form of its page', async (t) => {
  const { app, login, url, advanceTime } = await startPersonLogin(t)
  const ticket = new URL(url).searchParams.get('ticket') ?? ''
  const expired = /This login has expired or was used already/
  for (const [name, form] of [
    ['no form', {}],
    ['no token', { ticket }],
    ['a made-up token', { ticket, form_token: 'x'.repeat(43) }]
  ] as const) {
    const browser = new Browser(app)
    await browser.open(url)
    t.match(await browser.open('/connect/continue', {}, form), { statusCode: 403 }, name)
    t.notOk([...browser.cookies.keys()].some((cookie) => cookie.includes('flow-')))
  }
  const [owner, other] = [new Browser(app), new Browser(app)]
  const page = await owner.open(url)
  await other.open(url)
  other.cookies.set('__Host-connect-page', randomBytes(32).toString('base64url'))
  t.equal((await other.send(url, page)).statusCode, 403, 'the form of another browser')
  t.equal((await app.inject({ method: 'HEAD', url })).statusCode, 405)
  for (const headers of [
    { 'sec-purpose': 'prefetch' },
    { 'sec-purpose': 'prefetch;prerender' },
    { purpose: 'prefetch' },
    { 'x-moz': 'prefetch' }
  ]) {
    t.match(await owner.open(url, headers), { statusCode: 403 }, JSON.stringify(headers))
  }
  t.match(
    (await app.inject(`/auth/jira/callback?code=x&state=${ticket}`)).headers.location,
    /error=unknown_state/,
    'it is no state'
  )
  const [first, second] = await Promise.all([owner.send(url, page), owner.send(url, page)])
  t.same([first.statusCode, second.statusCode].sort(), [303, 400], 'one of two concurrent forms')
  t.match(await owner.open(url), { statusCode: 400, body: expired })
  t.match((await app.inject({ url, headers: { accept: 'application/json' } })).json(), {
    status: 400,
    code: 'expired_state'
  })

  const { url: late } = (await login()).json() as { url: string }
  const latePage = await owner.open(late)
  advanceTime(59_000)
  t.equal((await owner.open(late)).statusCode, 200)
  advanceTime(2_000)
  t.match(await owner.open(late), { statusCode: 400, body: expired })
  t.match(await owner.send(late, latePage), { statusCode: 400, body: expired })
})

t.test('B3 A ticket is in no log and not in the database', async (t) => {
  const database = await ensureDatabase(t, `${createTempFolder(t)}/c.db`)
  const { url, app, logText } = await startPersonLogin(t, '', { INTEGRATION_DB_URL: database })
  const ticket = new URL(url).searchParams.get('ticket') ?? ''
  const browser = new Browser(app)
  const started = await browser.submit(url)
  t.equal(started.statusCode, 303)
  const secret = browser.cookies.get('__Host-connect-page') ?? ''
  const stored = await readDatabaseContents(database)
  for (const [name, text] of [
    ['the ticket', ticket],
    ['the secret of the page', secret]
  ] as const) {
    t.equal(text.length, 43)
    t.notOk(logText().includes(text), `${name} is not in the log`)
    t.notOk(stored.includes(text), `${name} is not in the database`)
  }
})

t.test('T03 Another account replaces the connected one only from the page that asks', async (t) => {
  const { app, ada, login, url, getAccount } = await startPersonLogin(t)
  const browser = new Browser(app)
  const connect = async (page: string, account: string) =>
    await browser.open(
      await answerConsentPage(
        await browser.continueLogin(page),
        'accept',
        `&sandbox_account=${account}`
      )
    )
  await connect(url, 'dana')
  const danas = await getAccount()
  t.match(
    (await connect((await login()).json().url as string, 'sam')).headers.location,
    /error=account_changed/
  )
  const { headers } = await createApiKey(app, ['admin'])
  for (const credential of [ada, headers]) {
    t.match(
      (
        await app.inject({
          url: '/auth/jira/login?change_account=true&state=user_id%3D1',
          headers: credential
        })
      ).json().url,
      TICKET_URL,
      'a service key gets the page too'
    )
  }
  const change = (
    await app.inject({ url: '/auth/jira/login?change_account=true', headers: ada })
  ).json().url as string
  t.match(
    (await browser.open(change)).body,
    /<h1>Replace the Jira account of ada@example\.com<\/h1>/
  )
  t.equal(await getAccount(), danas)
  t.match((await connect(change, 'sam')).headers.location, /status=success/)
  t.not(await getAccount(), danas)
})

t.test('In public mode the JSON answer is the address of Atlassian', async (t) => {
  const { app, sandbox } = await startTestService(t, { APP_ENV: 'production' })
  const { url } = (await app.inject('/auth/jira/login')).json()
  t.ok((url as string).startsWith(`${sandbox.url}/authorize?`))
  const changed = (await app.inject('/auth/jira/login?change_account=true')).json()
  t.match(changed.url, /\/connect\/continue\?ticket=/)
  t.match((await new Browser(app).open(changed.url as string)).body, /of a new user/)
})

t.test('T04 In protected mode a service key has to name the user of a login', async (t) => {
  const { app, sandbox } = await startTestService(t, PRODUCTION)
  const { headers } = await createApiKey(app, ['admin'])
  for (const state of ['', '?state=abc', '?state=%7B%22x%22%3A1%7D', '?redirect=true']) {
    t.match(
      (await app.inject({ url: `/auth/jira/login${state}`, headers })).json(),
      { status: 422, code: 'validation_failed', errors: [{ pointer: '/state' }] },
      state
    )
  }
  const { url } = (
    await app.inject({ url: '/auth/jira/login?state=email:ada@example.com', headers })
  ).json()
  t.ok((url as string).startsWith(`${sandbox.url}/authorize?`), 'and gets the address of Atlassian')
  t.match(
    (await new Browser(app).open(await answerConsentPage(url as string))).headers.location,
    /status=success&user_id=1/
  )
})

t.test('A key that may only connect accounts neither creates users nor learns ids', async (t) => {
  const { app } = await startTestService(t, PRODUCTION)
  const keys = Object.fromEntries(
    await Promise.all(
      (['none', 'users:read', 'users:write'] as const).map(async (scope) => [
        scope,
        (await createApiKey(app, ['connections:write', ...(scope === 'none' ? [] : [scope])]))
          .headers
      ])
    )
  ) as Record<'none' | 'users:read' | 'users:write', { authorization: string }>
  const statuses = async (headers: { authorization: string }, email: string) => [
    (
      await app.inject({
        method: 'POST',
        url: '/connect-sessions',
        headers,
        payload: { user: email }
      })
    ).statusCode,
    (
      await app.inject({
        method: 'POST',
        url: '/integrations/jira/connect',
        headers,
        payload: { email }
      })
    ).statusCode,
    (await app.inject({ url: `/auth/jira/login?state=email:${email}`, headers })).statusCode
  ]
  t.same(await statuses(keys.none, 'new@example.com'), [403, 403, 403])
  t.same(await statuses(keys['users:read'], 'new@example.com'), [404, 404, 404])
  t.same(await app.store.users.list(10), [], 'no user was created')
  t.same(await statuses(keys['users:write'], 'new@example.com'), [201, 200, 200])
  t.same(await statuses(keys.none, 'new@example.com'), [403, 403, 403], 'nor told of')
  t.same(await statuses(keys['users:read'], 'NEW@example.com'), [201, 200, 200])
  t.equal((await app.store.users.list(10)).length, 1)
})
