import t, { type Test } from 'tap'
import type { InjectOptions } from 'fastify'
import { buildTestApp, buildSandboxEnv } from '../helper.ts'
import { REQUEST_ID_PATTERN } from './helper.ts'

const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const VALID_REQUEST_IDS = [
  'a',
  '0',
  'my-debug-123',
  'A.B_c-d',
  '.',
  '-',
  '_',
  'proto',
  'Constructor',
  '...',
  'x'.repeat(64),
  '123e4567-e89b-42d3-a456-426614174000'
]
const INVALID_REQUEST_IDS = [
  '',
  ' ',
  'x'.repeat(65),
  'x'.repeat(8000),
  'a b',
  'a,b',
  'a;b',
  'a:b',
  'a/b',
  'a\\b',
  'a"b',
  '<a>',
  'a%20b',
  'ä',
  '😀',
  '{}',
  '$' + '{jndi:ldap://x}',
  "a'b",
  'a\tb',
  'a=b',
  'a+b',
  '$(id)',
  '`id`',
  'a|b',
  'a&b',
  'a?b',
  'a#b',
  'a@b',
  'a*b',
  '__proto__',
  'constructor',
  'toString',
  '__defineGetter__'
]

/** One request for every kind of response. */
const RESPONSE_KINDS: Array<[name: string, status: number, request: InjectOptions]> = [
  ['200', 200, { url: '/users' }],
  ['201', 201, { method: 'POST', url: '/users', payload: { email: 'id@example.com' } }],
  ['HEAD', 200, { method: 'HEAD', url: '/users' }],
  ['307', 307, { url: '/auth/jira/login?redirect=true' }],
  ['302', 302, { url: '/auth/jira/callback?error=access_denied' }],
  [
    '400',
    400,
    { method: 'POST', url: '/users', headers: { 'content-type': 'application/json' }, payload: '{' }
  ],
  ['400 for the path', 400, { url: '/%zz' }],
  [
    '400 for the callback',
    400,
    { url: '/auth/jira/callback', headers: { accept: 'application/json' } }
  ],
  ['404', 404, { url: '/nothing' }],
  ['404 of a route', 404, { url: '/users/99' }],
  ['405', 405, { method: 'DELETE', url: '/users' }],
  ['409', 409, { method: 'POST', url: '/integrations/jira/sync?owner_id=1' }],
  [
    '413',
    413,
    {
      method: 'POST',
      url: '/users',
      headers: { 'content-type': 'application/json' },
      payload: ' '.repeat(64 * 1024 + 1)
    }
  ],
  [
    '415',
    415,
    { method: 'POST', url: '/users', headers: { 'content-type': 'text/plain' }, payload: 'x' }
  ],
  ['422', 422, { url: '/users/x' }],
  ['500', 500, { url: '/confluence/pages/1' }],
  [
    'preflight',
    204,
    {
      method: 'OPTIONS',
      url: '/users',
      headers: { origin: 'https://a.example', 'access-control-request-method': 'POST' }
    }
  ],
  [
    'preflight of nothing',
    204,
    {
      method: 'OPTIONS',
      url: '/nothing',
      headers: { origin: 'https://a.example', 'access-control-request-method': 'POST' }
    }
  ],
  ['OPTIONS', 204, { method: 'OPTIONS', url: '/users' }],
  ['docs', 200, { url: '/docs/' }],
  ['openapi', 200, { url: '/openapi.json' }],
  ['health', 200, { url: '/healthz' }],
  ['page', 200, { url: '/oauth/jira' }]
]

const createFailingApp = async (t: Test) => {
  const { APP_FRONTEND_URL: _none, ...env } = buildSandboxEnv('http://127.0.0.1:9')
  const built = await buildTestApp(t, {
    ...env,
    BACKEND_CORS_ORIGINS: '*',
    ALLOW_INSECURE: 'no_limits,http_frontend,any_origin'
  })
  await built.app.inject({ method: 'POST', url: '/users', payload: { email: 'ada@example.com' } })
  built.app.store.items('pages').list = () => {
    throw new Error('broken')
  }
  return built
}

t.test('C8 T19 Accepts a well-formed X-Request-ID and replaces any other by a UUID', async (t) => {
  const { app, lines } = await createFailingApp(t)
  for (const id of VALID_REQUEST_IDS) {
    t.equal(
      (await app.inject({ url: '/users/99', headers: { 'x-request-id': id } })).headers[
        'x-request-id'
      ],
      id,
      id
    )
  }
  const seen = new Set<string>()
  for (const id of INVALID_REQUEST_IDS) {
    const { headers, body } = await app.inject({
      url: '/users/99',
      headers: { 'x-request-id': id }
    })
    t.match(headers['x-request-id'], UUID_V4, JSON.stringify(id).slice(0, 40))
    t.equal(JSON.parse(body).request_id, headers['x-request-id'])
    seen.add(headers['x-request-id'] as string)
  }
  t.match((await app.inject('/')).headers['x-request-id'], UUID_V4)
  t.equal(seen.size, INVALID_REQUEST_IDS.length, 'never the same id twice')
  t.ok(lines().every(({ request_id: id }) => id === undefined || REQUEST_ID_PATTERN.test(id)))
})

t.test(
  'E6 X-Request-ID is on every kind of response, in every problem and in every log line of the request',
  async (t) => {
    for (const prefix of ['', '/api']) {
      const { app, lines } = await createFailingApp(t)
      for (const [i, [name, status, request]] of RESPONSE_KINDS.entries()) {
        const id = `kind-${i}`
        const answer = await app.inject({
          ...request,
          url: prefix + String(request.url),
          headers: {
            'content-type': 'application/json',
            ...request.headers,
            'x-request-id': id
          } as Record<string, string>
        })
        const title = `${prefix} ${name}`
        if (name === 'OPTIONS') t.ok(answer.statusCode < 500)
        else t.equal(answer.statusCode, status, title)
        t.equal(answer.headers['x-request-id'], id, `${title}: in the response`)
        if (String(answer.headers['content-type']).startsWith('application/problem+json')) {
          t.equal(answer.json().request_id, id, `${title}: in the problem`)
        }
        const own = lines().filter(({ request_id: logged }) => logged === id)
        t.ok(
          own.some(
            ({ event }) =>
              event === (name === '400 for the path' ? 'request_refused' : 'request_completed')
          ),
          `${title}: in the log`
        )
        t.match(answer.headers['x-content-type-options'], 'nosniff', `${title}: nosniff`)
        t.match(answer.headers['referrer-policy'], /no-referrer/, `${title}: no referrer`)
      }
    }
  }
)

t.test(
  'C11 Scripts of another origin can read X-Request-ID and Link, and never send credentials',
  async (t) => {
    const { app } = await createFailingApp(t)
    for (const [name, , request] of RESPONSE_KINDS.filter(
      ([name]) =>
        !['preflight', 'preflight of nothing', 'OPTIONS', '400 for the path'].includes(name)
    )) {
      const { headers } = await app.inject({
        ...request,
        headers: {
          'content-type': 'application/json',
          ...request.headers,
          origin: 'https://a.example'
        } as Record<string, string>
      })
      t.match(
        headers,
        {
          'access-control-allow-origin': '*',
          'access-control-expose-headers': /X-Request-ID.*Link|Link.*X-Request-ID/
        },
        name
      )
      t.equal(headers['access-control-allow-credentials'], undefined)
    }
  }
)

t.test(
  'C11 T29 CORS allows only the configured origins, and none in production by default',
  async (t) => {
    const requestFrom = async (env: NodeJS.ProcessEnv, origin: string) => {
      const { app } = await buildTestApp(t, env)
      return (await app.inject({ url: '/users', headers: { origin } })).headers
    }
    const two = { BACKEND_CORS_ORIGINS: 'https://a.example, http://b.example:3000' }
    t.match(await requestFrom(two, 'https://a.example'), {
      'access-control-allow-origin': 'https://a.example',
      vary: /Origin/
    })
    t.match(await requestFrom(two, 'http://b.example:3000'), {
      'access-control-allow-origin': 'http://b.example:3000'
    })
    for (const origin of [
      'https://evil.example',
      'https://a.example.evil.example',
      'http://a.example',
      'https://A.example:443',
      'https://sub.a.example',
      'null'
    ]) {
      t.equal((await requestFrom(two, origin))['access-control-allow-origin'], undefined, origin)
    }
    t.equal(
      (await requestFrom({ APP_ENV: 'production' }, 'https://a.example'))[
        'access-control-allow-origin'
      ],
      undefined
    )
    t.match(
      await requestFrom(
        {
          APP_ENV: 'production',
          BACKEND_CORS_ORIGINS: '*',
          ALLOW_INSECURE: 'no_limits,any_origin'
        },
        'https://a.example'
      ),
      { 'access-control-allow-origin': '*', 'access-control-allow-credentials': undefined }
    )
  }
)
