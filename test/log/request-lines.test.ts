import t from 'tap'
import { formatClientAddress } from '../../src/http/client-address.ts'
import { createApiKey, PROTECTED_ENV } from '../access/helper.ts'
import { buildTestApp } from '../helper.ts'

t.test('A request line names instance, caller, network of the client and bytes', async (t) => {
  const { app, lines, logText } = await buildTestApp(t, PROTECTED_ENV)
  const { headers, secret } = await createApiKey(app, ['users:read'])
  const response = await app.inject({ url: '/users', headers })
  const [line] = lines().filter(({ path }) => path === '/users')
  t.match(line, {
    event: 'request_completed',
    level: 'info',
    instance: /^[\w.-]+-[0-9a-f]{6}$/,
    caller: 'key:1',
    client_address: '127.0.0.0/24',
    bytes_sent: Buffer.byteLength(response.body)
  })
  t.notOk(logText().includes(secret), 'never the key itself')
})

t.test('The line of a refused request says why, without what the caller sent', async (t) => {
  const { app, lines } = await buildTestApp(t, { ...PROTECTED_ENV, RATE_LIMIT: '2' })
  const { headers } = await createApiKey(app, ['users:read'])
  const find = (status: number) =>
    lines().find(({ event, status_code: code }) => event === 'request_completed' && code === status)
  await app.inject({ url: '/users' })
  t.match(find(401), { level: 'info', error_code: 'unauthenticated', reason: /service key/ })
  await app.inject({ url: '/audit', headers })
  t.match(find(403), { level: 'info', error_code: 'forbidden', reason: /lacks the scope/ })
  await app.inject({ url: '/users?limit=secret-text', headers })
  t.match(find(422), { error_code: 'validation_failed', reason: undefined })
  for (let i = 0; i < 3; i++) await app.inject({ url: '/users', headers })
  t.match(find(429), { level: 'info', error_code: 'too_many_requests', reason: /requests/ })
})

t.test(
  'B10 A secret that a client sends in a path, its id or its headers is not logged',
  async (t) => {
    const secret = 'a-client-secret-of-this-service'
    const { app, lines, logText } = await buildTestApp(t, { JIRA_OAUTH_CLIENT_SECRET: secret })
    for (const [url, headers] of [
      [`/users/1/${secret}`, {}],
      ['/users', { 'user-agent': `curl ${secret}` }],
      ['/users', { 'x-request-id': secret }],
      ['/users', { via: 'Bearer abcdefghijkl' }],
      ['/users', { via: 'eyJhbGciOiJub25lIn0.e30.' }]
    ] as const) {
      await app.inject({ url, headers })
      t.match(lines().at(-1), { event: 'request_completed', status_code: /200|404/ }, url)
      t.notMatch(logText(), new RegExp(`${secret}|abcdefghijkl|eyJhbGci`), JSON.stringify(headers))
    }
  }
)

t.test(
  'Clients of one address are told apart, and no field has the name of a prototype',
  async (t) => {
    const { app, lines } = await buildTestApp(t)
    for (const headers of [{ 'user-agent': 'one' }, { 'user-agent': 'two' }, {}, { via: '' }]) {
      await app.inject({ url: '/users?__proto__=1', headers })
      t.match(lines().at(-1), { headers: { ...headers }, status_code: 200 })
      t.same(Object.keys(lines().at(-1)?.query_params as object), ['limit'])
    }
  }
)

t.test('Health requests are logged at debug, unless the service is not healthy', async (t) => {
  const { app, lines } = await buildTestApp(t)
  const levelOf = (id: string) => lines().find(({ request_id: logged }) => logged === id)?.level
  for (const url of ['/healthz', '/api/healthz', '/']) {
    await app.inject({ url, headers: { 'x-request-id': `at${url.replaceAll('/', '.')}` } })
  }
  t.same(['at.healthz', 'at.api.healthz', 'at.'].map(levelOf), ['debug', 'debug', 'debug'])
})

t.test('LOG_CLIENT_ADDRESS=none leaves every address of the client out', async (t) => {
  const { app, lines, logText } = await buildTestApp(t, { LOG_CLIENT_ADDRESS: 'none' })
  const headers = { 'x-forwarded-for': '203.0.113.9', 'x-real-ip': '203.0.113.9', via: '1.1 a' }
  await app.inject({ url: '/users', headers })
  t.match(lines().at(-1), {
    headers: { 'x-forwarded-for': '[redacted]', 'x-real-ip': '[redacted]', via: '1.1 a' }
  })
  t.notMatch(logText(), /203\.0\.113|client_address/)
})

t.test('The network of an address identifies no subscriber', async (t) => {
  for (const [address, network] of [
    ['203.0.113.77', '203.0.113.0/24'],
    ['::ffff:203.0.113.77', '203.0.113.0/24'],
    ['2001:db8:12:3456::1', '2001:db8:12::/48'],
    ['::1', '0:0:0::/48']
  ] as const) {
    t.equal(formatClientAddress(address, 'network'), network)
    t.equal(formatClientAddress(address, 'full'), address)
    t.equal(formatClientAddress(address, 'none'), undefined)
  }
})

t.test('The bytes of a streamed list are counted', async (t) => {
  const { app, lines } = await buildTestApp(t)
  await app.inject({ url: '/users', method: 'POST', payload: { email: 'ada@example.com' } })
  await app.inject({
    url: '/jira/projects',
    method: 'POST',
    payload: { owner_id: 1, key: 'A', name: 'x'.repeat(200) }
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const address = app.server.address() as { port: number }
  const list = await fetch(`http://127.0.0.1:${address.port}/jira/projects/1`)
  const { length } = await list.text()
  const line = lines().findLast(({ path }) => path === '/jira/projects/1')
  t.ok(line?.bytes_sent >= length, `${line?.bytes_sent} of ${length}`)
})
