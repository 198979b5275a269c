import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { createApiKey, PROTECTED_ENV, startIdentityProvider } from '../access/helper.ts'
import { assertProblem } from '../api/helper.ts'
import { buildTestApp, buildSandboxEnv, NO_RATE_LIMITS } from '../helper.ts'

const LIMIT = 5
const CLIENT_IP = '203.0.113.7'
const OTHER_IP = '198.51.100.9'

/** Sends the same request `count` times from one address; returns the responses. */
async function injectRepeatedly(
  app: FastifyInstance,
  count: number,
  url: string,
  {
    from = CLIENT_IP,
    headers = {}
  }: {
    from?: string | ((i: number) => string)
    headers?: Record<string, string> | ((i: number) => Record<string, string>)
  } = {}
): Promise<LightMyRequestResponse[]> {
  const answers: LightMyRequestResponse[] = []
  for (let i = 0; i < count; i++) {
    answers.push(
      await app.inject({
        url,
        remoteAddress: typeof from === 'string' ? from : from(i),
        headers: typeof headers === 'function' ? headers(i) : headers
      })
    )
  }
  return answers
}

/** Asserts success up to the limit and 429 from then on. */
function assertRefusedAfter(
  t: Test,
  limit: number,
  answers: LightMyRequestResponse[],
  status: number,
  title = ''
): void {
  t.same(
    answers.map(({ statusCode }) => statusCode),
    answers.map((_, i) => (i < limit ? status : 429)),
    title
  )
}

t.test(
  'C10 Returns 429 with the seconds to wait past the limit, and the remaining calls in each response',
  async (t) => {
    const { app } = await buildTestApp(t, {
      RATE_LIMIT: String(LIMIT),
      BACKEND_CORS_ORIGINS: 'https://app.example.com'
    })
    const answers = await injectRepeatedly(app, LIMIT + 3, '/users', {
      headers: { origin: 'https://app.example.com' }
    })
    assertRefusedAfter(t, LIMIT, answers, 200)
    t.same(
      answers.map(({ headers }) => headers['ratelimit-remaining']),
      ['4', '3', '2', '1', '0', '0', '0', '0']
    )
    const last = answers.at(-1) as LightMyRequestResponse
    assertProblem(t, last, 429, 'too_many_requests')
    const wait = Number(last.headers['retry-after'])
    t.ok(wait >= 1 && wait <= 60, `${wait} s`)
    t.match(last.headers, {
      'ratelimit-limit': String(LIMIT),
      'access-control-allow-origin': 'https://app.example.com',
      'x-content-type-options': 'nosniff'
    })
    t.match(last.headers['access-control-expose-headers'], /Retry-After/)
    assertRefusedAfter(
      t,
      LIMIT,
      await injectRepeatedly(app, LIMIT + 1, '/api/users', { from: OTHER_IP }),
      200,
      'other addresses are not limited'
    )
    t.equal(
      (
        await app.inject({
          method: 'POST',
          url: '/users',
          remoteAddress: CLIENT_IP,
          payload: { email: 'a@b.co' }
        })
      ).statusCode,
      429,
      'by any route'
    )
  }
)

t.test(
  'C10 Counts each key and each person separately, whatever address they call from',
  async (t) => {
    const issuer = await startIdentityProvider(t)
    const { app } = await buildTestApp(t, {
      ...PROTECTED_ENV,
      ...issuer.env,
      RATE_LIMIT: String(LIMIT)
    })
    const [one, other] = [
      await createApiKey(app, ['users:read']),
      await createApiKey(app, ['users:read'])
    ]
    const moving = (i: number) => `203.0.113.${i}`
    assertRefusedAfter(
      t,
      LIMIT,
      await injectRepeatedly(app, LIMIT + 2, '/users', { from: moving, headers: one.headers }),
      200,
      'a key'
    )
    assertRefusedAfter(
      t,
      LIMIT,
      await injectRepeatedly(app, LIMIT + 2, '/users', { from: moving, headers: other.headers }),
      200,
      'another key'
    )
    for (const sub of ['ada', 'grace']) {
      const headers = async () => ({ authorization: `Bearer ${await issuer.sign({ sub })}` })
      const answers: LightMyRequestResponse[] = []
      for (let i = 0; i < LIMIT + 2; i++) {
        answers.push(
          ...(await injectRepeatedly(app, 1, '/users/1/connections', {
            from: moving(i),
            headers: await headers()
          }))
        )
      }
      assertRefusedAfter(
        t,
        LIMIT,
        answers,
        sub === 'ada' ? 200 : 404,
        `${sub}, with a new token each time`
      )
    }
  }
)

t.test('C10 Counts each connect session separately', async (t) => {
  const { app } = await buildTestApp(t, {
    ...PROTECTED_ENV,
    ...buildSandboxEnv('http://127.0.0.1:9'),
    RATE_LIMIT: String(LIMIT)
  })
  for (const user of ['ada@example.com', 'grace@example.com']) {
    const { headers } = await createApiKey(app, ['connections:write', 'users:write'])
    const { token, user_id: id } = (
      await app.inject({ method: 'POST', url: '/connect-sessions', headers, payload: { user } })
    ).json()
    assertRefusedAfter(
      t,
      LIMIT,
      await injectRepeatedly(app, LIMIT + 2, `/users/${id as number}/connections`, {
        headers: { authorization: `Bearer ${token as string}` }
      }),
      200,
      user
    )
  }
})

t.test(
  'C10 Ignores X-Forwarded-For from other addresses; behind a trusted proxy each client counts separately',
  async (t) => {
    const rotating = (i: number) => ({
      'x-forwarded-for': `192.0.2.${i}`,
      'x-real-ip': `192.0.2.${i}`,
      forwarded: `for=192.0.2.${i}`
    })
    const { app: alone } = await buildTestApp(t, { RATE_LIMIT: String(LIMIT) })
    assertRefusedAfter(
      t,
      LIMIT,
      await injectRepeatedly(alone, LIMIT + 5, '/users', { headers: rotating }),
      200
    )
    const { app: behind } = await buildTestApp(t, {
      RATE_LIMIT: String(LIMIT),
      TRUST_PROXY: CLIENT_IP
    })
    assertRefusedAfter(
      t,
      20,
      await injectRepeatedly(behind, 20, '/users', { headers: rotating }),
      200,
      'twenty clients'
    )
    assertRefusedAfter(
      t,
      LIMIT,
      await injectRepeatedly(behind, LIMIT + 2, '/users', {
        headers: { 'x-forwarded-for': '192.0.2.77' }
      }),
      200,
      'one of them'
    )
    assertRefusedAfter(
      t,
      LIMIT,
      await injectRepeatedly(behind, LIMIT + 2, '/users', {
        headers: (i) => ({ 'x-forwarded-for': `10.0.0.${i}, 192.0.2.78` })
      }),
      200,
      'addresses that the client adds are ignored'
    )
    assertRefusedAfter(
      t,
      LIMIT,
      await injectRepeatedly(behind, LIMIT + 2, '/users', { from: OTHER_IP, headers: rotating }),
      200,
      'an address that is not a proxy'
    )
  }
)

t.test('C10 Counts an IPv6 network as one address, and IPv4-mapped IPv6 as IPv4', async (t) => {
  const { app } = await buildTestApp(t, { RATE_LIMIT: String(LIMIT) })
  assertRefusedAfter(
    t,
    LIMIT,
    await injectRepeatedly(app, LIMIT + 5, '/users', {
      from: (i) => `2001:db8:1:2:${i.toString(16)}::${i}`
    }),
    200
  )
  t.equal(
    (await app.inject({ url: '/users', remoteAddress: '2001:0DB8:0001:0002::1' })).statusCode,
    429,
    'in another spelling'
  )
  t.equal(
    (await app.inject({ url: '/users', remoteAddress: '2001:db8:1:3::1' })).statusCode,
    200,
    'the neighbouring network'
  )
  assertRefusedAfter(
    t,
    LIMIT,
    await injectRepeatedly(app, LIMIT, '/users', { from: CLIENT_IP }),
    200
  )
  t.equal(
    (await app.inject({ url: '/users', remoteAddress: `::ffff:${CLIENT_IP}` })).statusCode,
    429
  )
})

t.test(
  'C10 Limits wrong credentials and unknown paths by address, and not valid keys from that address',
  async (t) => {
    const { app } = await buildTestApp(t, {
      ...PROTECTED_ENV,
      API_DOCS: 'closed',
      RATE_LIMIT_REFUSED: String(LIMIT)
    })
    const { headers } = await createApiKey(app, ['users:read'])
    const guess = (i: number) => ({
      authorization: `Bearer ck_${String(i).repeat(40).slice(0, 40)}`
    })
    assertRefusedAfter(
      t,
      LIMIT,
      await injectRepeatedly(app, LIMIT + 2, '/users', { headers: guess }),
      401,
      'guesses'
    )
    t.equal((await injectRepeatedly(app, 1, '/users'))[0]?.statusCode, 429, 'no credential')
    t.equal(
      (await injectRepeatedly(app, 1, '/nothing'))[0]?.statusCode,
      429,
      'both share one count'
    )
    assertRefusedAfter(
      t,
      10,
      await injectRepeatedly(app, 10, '/users', { headers }),
      200,
      'another client with a key at the same address'
    )
    for (const [from, path] of [
      ['192.0.2.1', '/.env'],
      ['192.0.2.2', '/docs'],
      ['192.0.2.3', '/openapi.json']
    ] as const) {
      assertRefusedAfter(
        t,
        LIMIT,
        await injectRepeatedly(app, LIMIT + 2, path, { from }),
        404,
        path
      )
    }
  }
)

t.test('C10 Limits logins, callbacks and connect session links more strictly', async (t) => {
  const { app } = await buildTestApp(t, {
    ...buildSandboxEnv('http://127.0.0.1:9'),
    RATE_LIMIT: '100',
    RATE_LIMIT_LOGIN: String(LIMIT)
  })
  for (const [from, path, status] of [
    ['192.0.2.1', '/auth/jira/login', 200],
    ['192.0.2.2', '/auth/confluence/callback?state=x', 302],
    ['192.0.2.3', '/oauth/atlassian/callback', 302],
    ['192.0.2.4', '/connect?token=x', 401]
  ] as const) {
    assertRefusedAfter(
      t,
      LIMIT,
      await injectRepeatedly(app, LIMIT + 2, path, { from }),
      status,
      path
    )
    t.equal(
      (await injectRepeatedly(app, 1, '/users', { from }))[0]?.statusCode,
      200,
      'other routes are not limited'
    )
  }
})

t.test('C10 Never refuses health checks, pages and preflight requests', async (t) => {
  for (const BACKEND_CORS_ORIGINS of ['https://app.example.com', '']) {
    const { app } = await buildTestApp(t, {
      ...buildSandboxEnv('http://127.0.0.1:9'),
      APP_FRONTEND_URL: '',
      RATE_LIMIT: '3',
      RATE_LIMIT_LOGIN: '1',
      RATE_LIMIT_REFUSED: '1',
      BACKEND_CORS_ORIGINS,
      APP_ENV: 'production'
    })
    for (const path of ['/', '/livez', '/readyz', '/healthz', '/api/healthz', '/oauth/jira']) {
      assertRefusedAfter(t, 20, await injectRepeatedly(app, 20, path), 200, path)
    }
    for (let i = 0; i < 3; i++) {
      await app.inject({
        method: 'OPTIONS',
        url: '/users',
        remoteAddress: CLIENT_IP,
        headers: { origin: 'https://app.example.com', 'access-control-request-method': 'POST' }
      })
    }
    t.equal(
      (await injectRepeatedly(app, 1, '/nothing'))[0]?.statusCode,
      404,
      'none of them counts as a guess'
    )
  }
})

t.test('C10 A limit of 0 disables the limit', async (t) => {
  const { app } = await buildTestApp(t, { ...NO_RATE_LIMITS })
  const answers = [
    ...(await injectRepeatedly(app, 50, '/users')),
    ...(await injectRepeatedly(app, 50, '/nothing'))
  ]
  t.same([...new Set(answers.map(({ statusCode }) => statusCode))], [200, 404])
  t.equal(answers[0]?.headers['ratelimit-limit'], undefined)
})

t.test('C10 The OpenAPI document declares 429 on every limited route', async (t) => {
  const { app } = await buildTestApp(t)
  const { paths } = (await app.inject('/openapi.json')).json() as {
    paths: Record<string, Record<string, { responses: Record<string, unknown> }>>
  }
  const silent = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations)
      .filter(([, { responses }]) => responses[429] === undefined || responses[503] === undefined)
      .map(([method]) => `${method} ${path}`)
  )
  t.same(silent, ['get /', 'get /livez', 'get /healthz', 'get /readyz'])
})
