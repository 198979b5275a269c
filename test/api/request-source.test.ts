import t from 'tap'
import { buildSandboxEnv, buildTestApp, FRONTEND_URL, SERVICE_URL } from '../helper.ts'
import { HTTPS_ENV } from '../access/helper.ts'
import type { TestContext } from '../types.ts'

const FOREIGN_ORIGIN = 'https://evil.example'
const PRODUCTION_ENV = {
  APP_ENV: 'production',
  ...HTTPS_ENV,
  PUBLIC_URL: 'https://connector.example.com/tools',
  TRUST_PROXY: '10.1.2.3',
  ALLOWED_HOSTS: 'internal.example.com, Connector-1'
}
/** Nothing listens there: these requests never reach Atlassian. */
const APP_ENV = buildSandboxEnv('http://127.0.0.1:9')

async function startService(t: TestContext, env: NodeJS.ProcessEnv) {
  const { app, lines } = await buildTestApp(t, env)
  return {
    app,
    lines,
    request: async (headers: Record<string, string>, url = '/users', remoteAddress = '192.0.2.7') =>
      await app.inject({ url, headers, remoteAddress })
  }
}

t.test('T06 Production answers 421 to foreign host names where PUBLIC_URL is set', async (t) => {
  const { request } = await startService(t, PRODUCTION_ENV)
  for (const host of [
    'connector.example.com',
    'connector.example.com:8443',
    'CONNECTOR.example.com',
    'internal.example.com',
    'connector-1:3001',
    'localhost:3001',
    '127.0.0.1',
    '[::1]:3001'
  ]) {
    t.equal((await request({ host })).statusCode, 200, host)
  }
  for (const host of [
    'evil.example',
    'connector.example.com.evil.example',
    'evil.example:443',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '192.0.2.1',
    'connector.example.com@evil.example',
    'evil.example#connector.example.com'
  ]) {
    const answer = await request({ host })
    t.equal(answer.statusCode, 421, host)
    t.match(answer.json(), { code: 'misdirected_request', status: 421 })
  }
  const { request: requestWithUrlOnly } = await startService(t, {
    ...PRODUCTION_ENV,
    ALLOWED_HOSTS: undefined
  })
  t.equal((await requestWithUrlOnly({ host: 'connector.example.com' })).statusCode, 200)
  t.equal((await requestWithUrlOnly({ host: 'evil.example' })).statusCode, 421)
  for (const url of ['/', '/livez', '/readyz', '/healthz', '/api/healthz']) {
    t.equal((await request({ host: 'evil.example' }, url)).statusCode, 200, `${url} is for probes`)
  }
  for (const url of ['/nothing', '/oauth/jira', '/auth/jira/login?redirect=true']) {
    t.equal((await request({ host: 'evil.example' }, url)).statusCode, 421, url)
  }
})

t.test(
  'T05 T06 A trusted proxy names the host by X-Forwarded-Host; nobody else does',
  async (t) => {
    const { request } = await startService(t, PRODUCTION_ENV)
    const send = async (host: string, forwarded: string, from: string) =>
      (await request({ host, 'x-forwarded-host': forwarded }, '/users', from)).statusCode
    const [own, foreign] = ['connector.example.com', 'evil.example']
    t.equal(await send('upstream:3001', own, '10.1.2.3'), 200)
    t.equal(await send('upstream:3001', foreign, '10.1.2.3'), 421)
    t.equal(await send(own, foreign, '10.1.2.3'), 421)
    t.equal(await send(foreign, own, '192.0.2.7'), 421)
    t.equal(await send(own, foreign, '192.0.2.7'), 200, 'ignored from others')
  }
)

t.test('T06 Production without PUBLIC_URL and ALLOWED_HOSTS answers every host name', async (t) => {
  const { request } = await startService(t, { APP_ENV: 'production' })
  t.equal((await request({ host: 'evil.example' })).statusCode, 200)
})

t.test(
  'T29 Development with an Atlassian app answers only host names and origins of this machine',
  async (t) => {
    const { request, lines } = await startService(t, APP_ENV)
    for (const host of ['localhost:3001', '127.0.0.1:3001', '[::1]:3001']) {
      t.equal((await request({ host })).statusCode, 200, host)
    }
    for (const host of ['evil.example', '192.0.2.1:3001', new URL(FRONTEND_URL).host]) {
      t.equal((await request({ host })).statusCode, 421, host)
    }
    for (const origin of ['http://localhost:3000', 'http://127.0.0.1:5173', 'http://[::1]:3000']) {
      const answer = await request({ host: 'localhost:3001', origin })
      t.equal(answer.statusCode, 200, origin)
      t.equal(answer.headers['access-control-allow-origin'], origin)
    }
    for (const origin of [FOREIGN_ORIGIN, 'null', 'http://localhost.evil.example']) {
      const answer = await request({ host: 'localhost:3001', origin })
      t.equal(answer.statusCode, 403, origin)
      t.equal(answer.headers['access-control-allow-origin'], undefined)
    }
    t.match(
      lines().find(({ event }) => event === 'exposure'),
      { level: 'warn', access: 'public', hosts: ['loopback'], origins: 'loopback', docs: 'open' }
    )
  }
)

t.test(
  'Development with an Atlassian app answers the hosts and origins that settings list',
  async (t) => {
    const { request } = await startService(t, {
      ...APP_ENV,
      ALLOWED_HOSTS: 'dev.example.com',
      BACKEND_CORS_ORIGINS: 'https://front.example.com'
    })
    const host = 'dev.example.com:3001'
    t.equal((await request({ host })).statusCode, 200)
    t.equal((await request({ host, origin: 'https://front.example.com' })).statusCode, 200)
    t.equal((await request({ host, origin: `http://${host}` })).statusCode, 200, 'its own pages')
    t.equal((await request({ host, origin: 'http://dev.example.com' })).statusCode, 403)
    t.equal(
      (await request({ host, origin: 'null', 'sec-fetch-site': 'same-origin' })).statusCode,
      200,
      'a form of its own page'
    )
  }
)

t.test('The log of the start names each allowed host once', async (t) => {
  const { lines } = await startService(t, {
    ...PRODUCTION_ENV,
    ALLOWED_HOSTS: 'internal.example.com, connector.example.com, localhost',
    JIRA_OAUTH_REDIRECT_URI: 'http://localhost:3001/auth/jira/callback',
    CONFLUENCE_OAUTH_REDIRECT_URI: 'http://localhost:3001/auth/confluence/callback'
  })
  t.same(lines().find(({ event }) => event === 'exposure')?.hosts, [
    'loopback',
    'internal.example.com',
    'connector.example.com'
  ])
})

t.test('Development without an Atlassian app answers every host name and origin', async (t) => {
  const { request, lines } = await startService(t, {})
  const answer = await request({ host: 'any.example', origin: FOREIGN_ORIGIN })
  t.equal(answer.statusCode, 200)
  t.equal(answer.headers['access-control-allow-origin'], '*')
  t.match(
    lines().find(({ event }) => event === 'exposure'),
    { level: 'info', hosts: 'any', origins: 'any' }
  )
})

const CROSS_SITE = { 'sec-fetch-site': 'cross-site', origin: FOREIGN_ORIGIN }

t.test('C11 A POST that another site sends without a preflight does nothing', async (t) => {
  for (const env of [{}, APP_ENV, { APP_ENV: 'production', BACKEND_CORS_ORIGINS: FRONTEND_URL }]) {
    const { app } = await startService(t, env)
    const { user } = await app.store.users.findOrCreate('a@example.com', null)
    const post = async (headers: Record<string, string>, payload?: string) =>
      await app.inject({
        method: 'POST',
        url: `/integrations/jira/sync?owner_id=${user.id}`,
        headers: { host: new URL(SERVICE_URL).host, ...headers },
        ...(payload === undefined ? {} : { payload })
      })
    for (const [title, headers, payload] of [
      ['without a body', {}, undefined],
      ['text', { 'content-type': 'text/plain' }, '{}'],
      ['a form', { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }, 'a=b'],
      ['another form', { 'content-type': 'multipart/form-data; boundary=x' }, '--x--']
    ] as Array<[string, Record<string, string>, string | undefined]>) {
      const answer = await post({ ...CROSS_SITE, ...headers }, payload)
      t.match(answer.json(), { code: 'forbidden' }, title)
    }
    t.not((await post({ 'sec-fetch-site': 'same-origin' })).statusCode, 403, 'an own page may')
    t.not((await post({})).statusCode, 403, 'a program may')
  }
})

t.test('C11 A configured origin may send a POST from another site', async (t) => {
  const { app } = await startService(t, { BACKEND_CORS_ORIGINS: FRONTEND_URL })
  const post = async (origin: string, headers = {}) =>
    (
      await app.inject({
        method: 'POST',
        url: '/users',
        headers: { 'sec-fetch-site': 'cross-site', origin, ...headers }
      })
    ).statusCode
  t.not(await post(FRONTEND_URL), 403)
  t.equal(await post(FOREIGN_ORIGIN), 403)
})
