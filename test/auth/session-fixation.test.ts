import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { Browser, answerConsentPage, SERVICE_URL, PRODUCTS, type Product } from '../helper.ts'
import { HOSTILE_HEADERS, SCOPE_REQUESTS } from '../fixtures/headers.ts'
import {
  getAuthorizeParams,
  editUrl,
  requestLogin,
  PRODUCTION_ENV,
  TEST_REQUEST_ID,
  startTestService,
  buildSuccessUrl,
  countTokenCalls
} from './helper.ts'

const REDIRECT_URIS: Record<Product, string> = {
  jira: `${SERVICE_URL}/auth/jira/callback`,
  confluence: `${SERVICE_URL}/auth/confluence/callback`
}
const SCOPES_BY_PRODUCT: Record<Product, string> = {
  jira: 'read:jira-work read:jira-user read:me offline_access',
  confluence: 'read:space:confluence read:page:confluence search:confluence read:me offline_access'
}

t.ok(HOSTILE_HEADERS.length >= 60, `${HOSTILE_HEADERS.length} header sets`)
t.ok(SCOPE_REQUESTS.length >= 20, `${SCOPE_REQUESTS.length} scopes`)

for (const product of PRODUCTS) {
  t.test(
    `A7 T05 no header changes the redirect URI, the scopes, or where a ${product} login ends`,
    async (t) => {
      const running = await startTestService(t, { ...PRODUCTION_ENV, LOG_LEVEL: 'WARN' })
      const plain = await requestLogin(running, product)
      const constant = (address: string) =>
        editUrl(address, (query) => {
          query.delete('state')
        })
      const odd: unknown[] = []
      for (const headers of HOSTILE_HEADERS) {
        const browser = new Browser(running.app)
        const start = await browser.open(`/auth/${product}/login?redirect=true`, headers)
        const authorize = start.headers.location ?? ''
        const ended = await browser.open(await answerConsentPage(authorize), {
          ...headers,
          'x-request-id': TEST_REQUEST_ID
        })
        if (
          start.statusCode !== 307 ||
          constant(authorize) !== constant(plain.json().url as string)
        ) {
          odd.push([headers, start.statusCode, authorize])
        }
        // The sandbox compares the redirect URI of the exchange with that of the authorize URL,
        // byte by byte.
        if (ended.statusCode !== 302 || ended.headers.location !== buildSuccessUrl(product)) {
          odd.push([headers, ended.headers.location])
        }
      }
      t.same(odd, [])
      const { searchParams } = new URL(plain.json().url as string)
      t.equal(searchParams.get('redirect_uri'), REDIRECT_URIS[product])
      t.ok(
        (plain.json().url as string).includes(
          `redirect_uri=${encodeURIComponent(REDIRECT_URIS[product])}&`
        ),
        'byte for byte'
      )
      t.equal(searchParams.get('scope'), SCOPES_BY_PRODUCT[product])
      const { exchanges } = await running.sandbox.admin('stats', undefined, 'GET')
      t.same(exchanges, { authorization_code: { ok: HOSTILE_HEADERS.length } })
    }
  )
}

t.test('A7: no header changes a login in development, where clients are registered', async (t) => {
  const running = await startTestService(t, { APP_ENV: 'development', LOG_LEVEL: 'WARN' })
  let refusals = 0
  for (const product of PRODUCTS) {
    for (const headers of HOSTILE_HEADERS) {
      const answer = await requestLogin(running, product, {}, headers)
      // Foreign host names and origins are not answered there (test/api/request-source.test.ts).
      if (answer.statusCode !== 200) {
        t.ok([400, 403, 421].includes(answer.statusCode), JSON.stringify(headers))
        refusals++
        continue
      }
      const { origin, searchParams } = new URL(answer.json().url as string)
      t.same(
        [origin, searchParams.get('redirect_uri'), searchParams.get('scope')],
        [running.sandbox.url, REDIRECT_URIS[product], SCOPES_BY_PRODUCT[product]]
      )
    }
  }
  t.ok(refusals > 0 && refusals < HOSTILE_HEADERS.length, `${refusals} are not answered`)
})

t.test('A7: a redirect URI is sent exactly as configured', async (t) => {
  for (const uri of [
    'https://Connector.Example:443/api/auth/jira/callback',
    'https://connector.example/a%20b/callback?x=1&y=%2F',
    'http://localhost/auth/jira/callback/',
    'https://bücher.example/auth/jira/callback',
    'https://connector.example'
  ]) {
    const running = await startTestService(t, { ...PRODUCTION_ENV, JIRA_OAUTH_REDIRECT_URI: uri })
    const { url } = (await requestLogin(running, 'jira')).json()
    t.equal(new URL(url as string).searchParams.get('redirect_uri'), uri)
    const callback = await answerConsentPage(url as string)
    const { search } = new URL(callback)
    t.match(
      (await running.app.inject(`/auth/jira/callback${search}`)).headers.location,
      /status=success/,
      'the exchange repeats it'
    )
    t.equal(await countTokenCalls(running.sandbox), 1)
  }
})

t.test('T06: without a configured address, a Host header is not used as one', async (t) => {
  const running = await startTestService(t, {
    ...PRODUCTION_ENV,
    APP_FRONTEND_URL: undefined,
    JIRA_OAUTH_REDIRECT_URI: 'https://connector.example/odd/callback'
  })
  for (const headers of HOSTILE_HEADERS) {
    const {
      headers: { location }
    } = await new Browser(running.app).open('/auth/jira/callback?error=access_denied', headers)
    t.equal(new URL(location ?? '').origin, SERVICE_URL)
  }
})

t.test(
  "T06: in development, without configuration, the sandbox's address is localhost",
  async (t) => {
    const unconfigured = Object.fromEntries(
      [
        'APP_FRONTEND_URL',
        ...PRODUCTS.flatMap((id) =>
          ['CLIENT_ID', 'CLIENT_SECRET', 'REDIRECT_URI'].map(
            (what) => `${id.toUpperCase()}_OAUTH_${what}`
          )
        )
      ].map((name) => [name, undefined])
    )
    const running = await startTestService(t, { APP_ENV: 'development', ...unconfigured })
    for (const headers of HOSTILE_HEADERS) {
      const { url } = (await requestLogin(running, 'jira', {}, headers)).json()
      const { hostname, searchParams } = new URL(url as string)
      for (const name of [hostname, new URL(searchParams.get('redirect_uri') ?? '').hostname]) {
        t.match(name, /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/)
      }
    }
  }
)

t.test('T06: a request target with its own host changes nothing', async (t) => {
  const { app } = await startTestService(t, PRODUCTION_ENV)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const send = async (target: string, host: string) => {
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
    socket.write(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    return await text(socket)
  }
  for (const target of [
    'http://evil.example/auth/jira/login?redirect=true',
    'HTTP://evil.example:80/auth/jira/login?redirect=true',
    'http://user@evil.example/api/auth/jira/login?redirect=true'
  ]) {
    for (const host of ['evil.example', 'localhost:3001']) {
      const answer = await send(target, host)
      t.notOk(answer.includes('evil'), target)
      if (answer.startsWith('HTTP/1.1 307')) {
        t.ok(answer.includes(`redirect_uri=${encodeURIComponent(REDIRECT_URIS.jira)}&`))
      } else t.match(answer, /^HTTP\/1\.1 40[04] /)
    }
  }
})

t.test('T38: a caller can narrow the scopes and not widen them', async (t) => {
  const running = await startTestService(t, PRODUCTION_ENV)
  for (const [requestedScope, gets] of SCOPE_REQUESTS) {
    const scope = (await getAuthorizeParams(running, 'jira', { scope: requestedScope })).getAll(
      'scope'
    )
    t.same(scope, [gets ?? SCOPES_BY_PRODUCT.jira], JSON.stringify(requestedScope.slice(0, 60)))
  }
})

t.test(
  'T38: configured scopes replace the default ones and limit what a caller can request',
  async (t) => {
    const running = await startTestService(t, {
      ...PRODUCTION_ENV,
      JIRA_OAUTH_SCOPES: 'read:jira-work'
    })
    for (const scope of [
      'read',
      'read:jira-work',
      'read:jira-user',
      'offline_access',
      'read:jira-work offline_access'
    ]) {
      t.equal(
        (await getAuthorizeParams(running, 'jira', { scope })).get('scope'),
        'read:jira-work read:me offline_access'
      )
    }
  }
)

t.test(
  'T38: rejects a repeated scope parameter and one of three thousand characters',
  async (t) => {
    const { app } = await startTestService(t, PRODUCTION_ENV)
    for (const query of ['scope=a&scope=b', `scope=${'x'.repeat(3_000)}`, 'scope=%00']) {
      t.match((await app.inject(`/auth/jira/login?${query}`)).json(), {
        status: 422,
        errors: [{ pointer: '/scope' }]
      })
    }
  }
)
