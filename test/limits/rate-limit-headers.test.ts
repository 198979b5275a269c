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
    const ask = async (
      status: number,
      method: 'GET' | 'HEAD' | 'POST' | 'DELETE' | 'PUT' | 'OPTIONS',
      url: string,
      more: object = {}
    ) => {
      const answer = await app.inject({ method, url, headers, ...more })
      const title = `${method} ${url.slice(0, 30)} ${status}`
      t.equal(answer.statusCode, status, title)
      t.match(answer.headers, EXPECTED_SECURITY_HEADERS, title)
      t.notMatch(answer.headers['content-security-policy'], /script-src[^;]*'unsafe/, title)
      for (const name of ['server', 'x-powered-by', 'via']) {
        t.notOk(name in answer.headers, `${title}: ${name}`)
      }
    }
    await ask(200, 'GET', '/users')
    await ask(200, 'HEAD', '/users')
    await ask(201, 'POST', '/users', { payload: { email: 'a@b.co' } })
    await ask(204, 'OPTIONS', '/users', {
      headers: { origin: 'https://app.example.com', 'access-control-request-method': 'GET' }
    })
    await ask(200, 'GET', '/docs/')
    await ask(200, 'GET', '/openapi.json')
    await ask(302, 'GET', '/auth/jira/callback')
    await ask(400, 'GET', '/%zz')
    await ask(400, 'POST', '/users', { headers: json, payload: '{' })
    await ask(401, 'GET', '/users', { headers: {} })
    await ask(401, 'GET', '/connect', { headers: { accept: 'text/html' } })
    await ask(404, 'GET', '/nothing')
    await ask(405, 'PUT', '/users')
    await ask(413, 'POST', '/users', {
      headers: json,
      payload: JSON.stringify({ email: 'x'.repeat(70_000) })
    })
    await ask(415, 'POST', '/users', {
      headers: { ...headers, 'content-type': 'text/plain' },
      payload: 'x'
    })
    await ask(422, 'GET', '/users/x')
    await ask(200, 'DELETE', '/users/1')
    await ask(500, 'GET', '/Error')
    await ask(503, 'GET', '/AppError')
    for (let i = 0; i < 40; i++) await app.inject({ url: '/users', headers })
    await ask(429, 'GET', '/users')
  }
)

t.test(
  'C12 So do responses to unparsable requests and to unsupported Expect headers',
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
