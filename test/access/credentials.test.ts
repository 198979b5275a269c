import { connect, type AddressInfo } from 'node:net'
import t from 'tap'
import { hashSecret } from '../../src/lib/secret.ts'
import { buildTestApp } from '../helper.ts'
import { buildBearerHeader, createApiKey, PROTECTED_ENV, startIdentityProvider } from './helper.ts'

/** Sends raw bytes and returns the response. */
async function sendRequestLines(port: number, lines: string[]): Promise<string> {
  return await new Promise((resolve) => {
    let text = ''
    const socket = connect(port, '127.0.0.1', () => {
      socket.write([...lines, 'Host: a', 'Connection: close', '', ''].join('\r\n'))
    })
    socket
      .on('data', (chunk) => {
        text += chunk.toString()
      })
      .on('error', () => {})
      .on('close', () => {
        resolve(text)
      })
  })
}

t.test('C6 Accepts a credential only as one complete Bearer token', async (t) => {
  const { app } = await buildTestApp(t, PROTECTED_ENV)
  const { secret } = await createApiKey(app, ['users:read'])
  const status = async (authorization: string) =>
    (await app.inject({ url: '/users', headers: { authorization } })).statusCode
  for (const good of [`Bearer ${secret}`, `bearer ${secret}`, `BEARER  ${secret} `]) {
    t.equal(await status(good), 200, good.slice(0, 8))
  }
  const wrong = [
    '',
    ' ',
    'Bearer',
    'Bearer ',
    secret,
    `Basic ${Buffer.from(`x:${secret}`).toString('base64')}`,
    `Token ${secret}`,
    `Bearer${secret}`,
    `Bearer: ${secret}`,
    `Bearer "${secret}"`,
    `Bearer <${secret}>`,
    `Bearer ${secret} ${secret}`,
    `Bearer ${secret}, Bearer ${secret}`,
    `Bearer ${secret},x`,
    `Bearer\t${secret}`,
    `Bearer ${secret}x`,
    `Bearer ${secret.slice(0, -1)}`,
    `Bearer ${secret.toUpperCase()}`,
    `Bearer ${secret.slice(3)}`,
    `Bearer ${secret.replace('jcck_', 'cs_')}`,
    `Bearer ${hashSecret(secret)}`,
    `Bearer ck_${hashSecret(secret)}`,
    `Bearer ${secret.slice(0, 10)}`,
    `Bearer ck_${'%00'.repeat(9)}`,
    `Bearer ck_${'a'.repeat(9_000)}`,
    'Bearer null',
    'Bearer undefined',
    'Bearer *'
  ]
  const details = new Set<string>()
  for (const header of wrong) {
    const answer = await app.inject({ url: '/users', headers: { authorization: header } })
    t.equal(answer.statusCode, 401, header.slice(0, 40))
    t.equal(answer.headers['www-authenticate'], 'Bearer')
    details.add(answer.json().detail as string)
  }
  t.equal(details.size, 1, 'the response gives no reason')
  for (const url of [`/users?access_token=${secret}`, `/users?authorization=Bearer%20${secret}`]) {
    t.equal((await app.inject(url)).statusCode, 401, 'not in the query string')
  }
  for (const name of [
    'x-api-key',
    'x-authorization',
    'proxy-authorization',
    'x-forwarded-user',
    'x-remote-user',
    'cookie'
  ]) {
    t.equal(
      (await app.inject({ url: '/users', headers: { [name]: `Bearer ${secret}` } })).statusCode,
      401,
      name
    )
  }
})

t.test(
  'T05 Rejects a request with two Authorization headers, even if one of them is valid',
  async (t) => {
    const { app } = await buildTestApp(t, PROTECTED_ENV)
    const { secret } = await createApiKey(app, ['users:read'])
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    const ask = async (...headers: string[]) =>
      Number((await sendRequestLines(port, ['GET /users HTTP/1.1', ...headers])).slice(9, 12))
    const [good, bad] = [
      `Authorization: Bearer ${secret}`,
      `authorization: Bearer ck_${'x'.repeat(43)}`
    ]
    t.same(
      [
        await ask(good),
        await ask(good, bad),
        await ask(bad, good),
        await ask(good, good),
        await ask(`authorization: Bearer ${secret}`)
      ],
      [200, 401, 401, 401, 200]
    )
  }
)

t.test(
  'C6 Rejects an unauthenticated request before it validates anything else, under every alias of the route',
  async (t) => {
    const { app, logText } = await buildTestApp(t, PROTECTED_ENV)
    const json = { 'content-type': 'application/json' }
    const requests = [
      { method: 'POST', url: '/users', headers: json, payload: '{broken' },
      {
        method: 'POST',
        url: '/users',
        headers: json,
        payload: JSON.stringify({ email: 'x'.repeat(70_000) })
      },
      { method: 'POST', url: '/users', headers: { 'content-type': 'text/xml' }, payload: '<a/>' },
      { method: 'POST', url: '/users', payload: { email: 'nobody' } },
      { method: 'POST', url: '/users', payload: { email: 'planted-7f3a@example.com' } },
      { url: '/users/0' },
      { url: '/users/x' },
      { url: '/users?limit=x' },
      { url: '/users/' },
      { url: '/api/users' },
      { url: '/api/users/' },
      { url: '/%75sers' },
      { url: '/users?x=1#y' },
      { method: 'HEAD', url: '/users' },
      { method: 'HEAD', url: '/api/users/' },
      { url: 'http://elsewhere.example/users' }
    ] as const
    for (const request of requests) {
      t.equal(
        (await app.inject(request as object)).statusCode,
        401,
        JSON.stringify(request).slice(0, 100)
      )
    }
    t.notMatch(logText(), /planted-7f3a/)
    t.equal((await app.store.users.list(10)).length, 0)
    for (const [method, url, status] of [
      ['GET', '/nowhere', 404],
      ['GET', '/USERS', 404],
      ['PUT', '/users', 405],
      ['GET', '//users', 404],
      ['GET', '/api/api/users', 404]
    ] as const) {
      t.equal(
        (await app.inject({ method, url })).statusCode,
        status,
        `${method} ${url}: there is nothing to guard`
      )
    }
    const preflight = await app.inject({
      method: 'OPTIONS',
      url: '/users',
      headers: {
        origin: 'https://a.example',
        'access-control-request-method': 'GET',
        'access-control-request-headers': 'authorization'
      }
    })
    t.match(
      preflight,
      { statusCode: 204, headers: { 'access-control-allow-headers': 'authorization' } },
      'allows CORS preflight requests'
    )
    t.match(
      (await app.inject({ url: '/users', headers: { origin: 'https://a.example' } })).headers,
      { 'access-control-allow-origin': '*', 'cache-control': 'no-store', 'x-request-id': /./ },
      'scripts can read a refusal'
    )
  }
)

t.test(
  'Concurrent first requests of one person create one user; of two with one address, one is linked to it',
  async (t) => {
    const idp = await startIdentityProvider(t)
    const { app } = await buildTestApp(t, { ...PROTECTED_ENV, ...idp.env })
    const ada = buildBearerHeader(await idp.sign({ sub: 'ada' }))
    const statuses = await Promise.all(
      Array.from(
        { length: 20 },
        async () =>
          (
            await app.inject({ method: 'POST', url: '/integrations/jira/connect', headers: ada })
          ).json().redirect_url as string
      )
    )
    t.equal(new Set(statuses).size, 1)
    t.equal((await app.store.users.list(100)).length, 1)
    const claims = { email: 'grace@example.com', email_verified: true }
    const both = await Promise.all(
      ['one', 'two'].map(
        async (sub) =>
          (
            await app.inject({
              method: 'POST',
              url: '/integrations/jira/connect',
              headers: buildBearerHeader(await idp.sign({ sub, ...claims }))
            })
          ).json().redirect_url as string
      )
    )
    t.equal(new Set(both).size, 2)
    t.equal(
      (await app.store.users.list(100)).filter(({ email }) => email === 'grace@example.com').length,
      1
    )
  }
)

t.test(
  'Rejects a callback with an unknown state when callers must authenticate, in development too',
  async (t) => {
    for (const [API_ACCESS, error] of [
      ['public', 'invalid_code|upstream|oauth'],
      ['protected', 'unknown_state']
    ] as const) {
      const { app } = await buildTestApp(t, { API_ACCESS })
      t.match(
        (await app.inject('/auth/jira/callback?code=x&state=user_id%3D1')).headers.location,
        new RegExp(`error=(${error}|user_not_found)`),
        API_ACCESS
      )
    }
    const { app } = await buildTestApp(t, PROTECTED_ENV)
    t.match(
      (await app.inject('/auth/jira/callback?code=x&state=user_id%3D1')).headers.location,
      /error=unknown_state/
    )
  }
)
