import { connect, type AddressInfo } from 'node:net'
import t from 'tap'
import { AppError } from '../../src/lib/errors.ts'
import { createApiKey, PROTECTED_ENV } from '../access/helper.ts'
import { buildTestApp, buildSandboxEnv } from '../helper.ts'

const EXPECTED_SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'content-security-policy': /^default-src '(none|self)';/
}

t.test(
  'C12 Every response has the security headers and none that reveal versions, whatever its status',
  async (t) => {
    const { app } = await buildTestApp(t, {
      ...buildSandboxEnv('http://127.0.0.1:9'),
      ...PROTECTED_ENV,
      API_DOCS: 'open',
      RATE_LIMIT: '40',
      BACKEND_CORS_ORIGINS: 'https://app.example.com'
    })
    for (const error of [new Error('unforeseen'), new AppError('unavailable', 'Later.')]) {
      app.get(`/${error.name}`, { config: { access: 'open' } }, async () => {
        throw error
      })
    }
    const { headers } = await createApiKey(app, ['admin'])
    const json = { ...headers, 'content-type': 'application/json' }
    const assertHeaders = async (
      status: number,
      method: 'GET' | 'HEAD' | 'POST' | 'DELETE' | 'PUT' | 'OPTIONS',
      url: string,
      options: object = {}
    ) => {
      const response = await app.inject({ method, url, headers, ...options })
      const title = `${method} ${url.slice(0, 30)} ${status}`
      t.equal(response.statusCode, status, title)
      t.match(response.headers, EXPECTED_SECURITY_HEADERS, title)
      t.notMatch(response.headers['content-security-policy'], /script-src[^;]*'unsafe/, title)
      for (const name of ['server', 'x-powered-by', 'via']) {
        t.notOk(name in response.headers, `${title}: ${name}`)
      }
    }
    await assertHeaders(200, 'GET', '/users')
    await assertHeaders(200, 'HEAD', '/users')
    await assertHeaders(201, 'POST', '/users', { payload: { email: 'a@b.co' } })
    await assertHeaders(204, 'OPTIONS', '/users', {
      headers: { origin: 'https://app.example.com', 'access-control-request-method': 'GET' }
    })
    await assertHeaders(200, 'GET', '/docs/')
    await assertHeaders(200, 'GET', '/openapi.json')
    await assertHeaders(302, 'GET', '/auth/jira/callback')
    await assertHeaders(400, 'GET', '/%zz')
    await assertHeaders(400, 'POST', '/users', { headers: json, payload: '{' })
    await assertHeaders(401, 'GET', '/users', { headers: {} })
    await assertHeaders(401, 'GET', '/connect', { headers: { accept: 'text/html' } })
    await assertHeaders(404, 'GET', '/nothing')
    await assertHeaders(405, 'PUT', '/users')
    await assertHeaders(413, 'POST', '/users', {
      headers: json,
      payload: JSON.stringify({ email: 'x'.repeat(70_000) })
    })
    await assertHeaders(415, 'POST', '/users', {
      headers: { ...headers, 'content-type': 'text/plain' },
      payload: 'x'
    })
    await assertHeaders(422, 'GET', '/users/x')
    await assertHeaders(200, 'DELETE', '/users/1')
    await assertHeaders(500, 'GET', '/Error')
    await assertHeaders(503, 'GET', '/AppError')
    for (let i = 0; i < 40; i++) await app.inject({ url: '/users', headers })
    await assertHeaders(429, 'GET', '/users')
  }
)

t.test(
  'C12 Responses to unparsable requests and to unsupported Expect headers have the security headers',
  async (t) => {
    const { app } = await buildTestApp(t)
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    const sendBytes = async (bytes: string) =>
      await new Promise<string>((resolve) => {
        let text = ''
        const socket = connect(port, '127.0.0.1', () => {
          socket.write(bytes)
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
    for (const [bytes, status] of [
      ['nonsense\r\n\r\n', 400],
      [`GET / HTTP/1.1\r\nHost: a\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
      [`GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 431],
      ['GET / HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
      ['GET /users HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nConnection: close\r\n\r\n', 200]
    ] as const) {
      const [head = ''] = (await sendBytes(bytes)).split('\r\n\r\n')
      t.match(head, new RegExp(`^HTTP/1\\.1 ${status}`), bytes.slice(0, 40))
      for (const name of [
        'x-content-type-options: nosniff',
        'x-frame-options: DENY',
        'referrer-policy: no-referrer',
        'cross-origin-resource-policy: same-origin'
      ]) {
        t.ok(head.includes(name), `${status}: ${name}`)
      }
      t.notMatch(head, /^(server|x-powered-by):/im)
    }
  }
)
