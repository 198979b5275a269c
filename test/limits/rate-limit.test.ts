import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { keyed, PROTECTED, provider } from '../access/helper.ts'
import { problem } from '../api/helper.ts'
import { build, configured, UNLIMITED } from '../helper.ts'

const LIMIT = 5
const HERE = '203.0.113.7'
const ELSEWHERE = '198.51.100.9'

/** So many times the same, from one address; how each was answered. */
async function asked(
  app: FastifyInstance,
  count: number,
  url: string,
  {
    from = HERE,
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

/** Answered until the limit, refused from then on. */
function stopsAfter(
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
  'C10 One call more than the limit is 429 with the seconds to wait, and every answer says how many are left',
  async (t) => {
    const { app } = await build(t, {
      RATE_LIMIT: String(LIMIT),
      BACKEND_CORS_ORIGINS: 'https://app.example.com'
    })
    const answers = await asked(app, LIMIT + 3, '/users', {
      headers: { origin: 'https://app.example.com' }
    })
    stopsAfter(t, LIMIT, answers, 200)
    t.same(
      answers.map(({ headers }) => headers['ratelimit-remaining']),
      ['4', '3', '2', '1', '0', '0', '0', '0']
    )
    const last = answers.at(-1) as LightMyRequestResponse
    problem(t, last, 429, 'too_many_requests')
    const wait = Number(last.headers['retry-after'])
    t.ok(wait >= 1 && wait <= 60, `${wait} s`)
    t.match(last.headers, {
      'ratelimit-limit': String(LIMIT),
      'access-control-allow-origin': 'https://app.example.com',
      'x-content-type-options': 'nosniff'
    })
    t.match(last.headers['access-control-expose-headers'], /Retry-After/)
    stopsAfter(
      t,
      LIMIT,
      await asked(app, LIMIT + 1, '/api/users', { from: ELSEWHERE }),
      200,
      'who asks from elsewhere is not concerned'
    )
    t.equal(
      (
        await app.inject({
          method: 'POST',
          url: '/users',
          remoteAddress: HERE,
          payload: { email: 'a@b.co' }
        })
      ).statusCode,
      429,
      'by any route'
    )
  }
)

t.test(
  'C10 Keys and people are counted each for themselves, wherever they call from',
  async (t) => {
    const issuer = await provider(t)
    const { app } = await build(t, { ...PROTECTED, ...issuer.env, RATE_LIMIT: String(LIMIT) })
    const [one, other] = [await keyed(app, ['users:read']), await keyed(app, ['users:read'])]
    const moving = (i: number) => `203.0.113.${i}`
    stopsAfter(
      t,
      LIMIT,
      await asked(app, LIMIT + 2, '/users', { from: moving, headers: one.headers }),
      200,
      'a key'
    )
    stopsAfter(
      t,
      LIMIT,
      await asked(app, LIMIT + 2, '/users', { from: moving, headers: other.headers }),
      200,
      'another key'
    )
    for (const sub of ['ada', 'grace']) {
      const headers = async () => ({ authorization: `Bearer ${await issuer.sign({ sub })}` })
      const answers: LightMyRequestResponse[] = []
      for (let i = 0; i < LIMIT + 2; i++) {
        answers.push(
          ...(await asked(app, 1, '/users/1/connections', {
            from: moving(i),
            headers: await headers()
          }))
        )
      }
      stopsAfter(t, LIMIT, answers, sub === 'ada' ? 200 : 404, `${sub}, with a new token each time`)
    }
  }
)

t.test('C10 Connect sessions are counted each for itself', async (t) => {
  const { app } = await build(t, {
    ...PROTECTED,
    ...configured('http://127.0.0.1:9'),
    RATE_LIMIT: String(LIMIT)
  })
  for (const user of ['ada@example.com', 'grace@example.com']) {
    const { headers } = await keyed(app, ['connections:write', 'users:write'])
    const { token, user_id: id } = (
      await app.inject({ method: 'POST', url: '/connect-sessions', headers, payload: { user } })
    ).json()
    stopsAfter(
      t,
      LIMIT,
      await asked(app, LIMIT + 2, `/users/${id as number}/connections`, {
        headers: { authorization: `Bearer ${token as string}` }
      }),
      200,
      user
    )
  }
})

t.test(
  'C10 X-Forwarded-For of an address that is no proxy changes nothing; behind a trusted one each client counts for itself',
  async (t) => {
    const rotating = (i: number) => ({
      'x-forwarded-for': `192.0.2.${i}`,
      'x-real-ip': `192.0.2.${i}`,
      forwarded: `for=192.0.2.${i}`
    })
    const { app: alone } = await build(t, { RATE_LIMIT: String(LIMIT) })
    stopsAfter(t, LIMIT, await asked(alone, LIMIT + 5, '/users', { headers: rotating }), 200)
    const { app: behind } = await build(t, { RATE_LIMIT: String(LIMIT), TRUST_PROXY: HERE })
    stopsAfter(
      t,
      20,
      await asked(behind, 20, '/users', { headers: rotating }),
      200,
      'twenty clients'
    )
    stopsAfter(
      t,
      LIMIT,
      await asked(behind, LIMIT + 2, '/users', { headers: { 'x-forwarded-for': '192.0.2.77' } }),
      200,
      'one of them'
    )
    stopsAfter(
      t,
      LIMIT,
      await asked(behind, LIMIT + 2, '/users', {
        headers: (i) => ({ 'x-forwarded-for': `10.0.0.${i}, 192.0.2.78` })
      }),
      200,
      'what a client puts in front of its own address is not believed'
    )
    stopsAfter(
      t,
      LIMIT,
      await asked(behind, LIMIT + 2, '/users', { from: ELSEWHERE, headers: rotating }),
      200,
      'who is no proxy'
    )
  }
)

t.test('C10 The addresses of one IPv6 network are one, and IPv4 in IPv6 is IPv4', async (t) => {
  const { app } = await build(t, { RATE_LIMIT: String(LIMIT) })
  stopsAfter(
    t,
    LIMIT,
    await asked(app, LIMIT + 5, '/users', { from: (i) => `2001:db8:1:2:${i.toString(16)}::${i}` }),
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
    'the network beside it'
  )
  stopsAfter(t, LIMIT, await asked(app, LIMIT, '/users', { from: HERE }), 200)
  t.equal((await app.inject({ url: '/users', remoteAddress: `::ffff:${HERE}` })).statusCode, 429)
})

t.test(
  'C10 Wrong credentials and paths that are not there stop guesses from an address, and not the key that is right',
  async (t) => {
    const { app } = await build(t, {
      ...PROTECTED,
      API_DOCS: 'closed',
      RATE_LIMIT_REFUSED: String(LIMIT)
    })
    const { headers } = await keyed(app, ['users:read'])
    const guess = (i: number) => ({
      authorization: `Bearer ck_${String(i).repeat(40).slice(0, 40)}`
    })
    stopsAfter(t, LIMIT, await asked(app, LIMIT + 2, '/users', { headers: guess }), 401, 'guesses')
    t.equal((await asked(app, 1, '/users'))[0]?.statusCode, 429, 'no credential')
    t.equal((await asked(app, 1, '/nothing'))[0]?.statusCode, 429, 'they are one count')
    stopsAfter(
      t,
      10,
      await asked(app, 10, '/users', { headers }),
      200,
      'somebody else behind the same address, with a key'
    )
    for (const [from, path] of [
      ['192.0.2.1', '/.env'],
      ['192.0.2.2', '/docs'],
      ['192.0.2.3', '/openapi.json']
    ] as const) {
      stopsAfter(t, LIMIT, await asked(app, LIMIT + 2, path, { from }), 404, path)
    }
  }
)

t.test(
  'C10 Logins and callbacks have a stricter limit, and so have the links of connect sessions',
  async (t) => {
    const { app } = await build(t, {
      ...configured('http://127.0.0.1:9'),
      RATE_LIMIT: '100',
      RATE_LIMIT_LOGIN: String(LIMIT)
    })
    for (const [from, path, status] of [
      ['192.0.2.1', '/auth/jira/login', 200],
      ['192.0.2.2', '/auth/confluence/callback?state=x', 302],
      ['192.0.2.3', '/oauth/atlassian/callback', 302],
      ['192.0.2.4', '/connect?token=x', 401]
    ] as const) {
      stopsAfter(t, LIMIT, await asked(app, LIMIT + 2, path, { from }), status, path)
      t.equal(
        (await asked(app, 1, '/users', { from }))[0]?.statusCode,
        200,
        'everything else goes on'
      )
    }
  }
)

t.test(
  'C10 The health checks, the pages and what browsers ask before they send anything are never refused',
  async (t) => {
    for (const BACKEND_CORS_ORIGINS of ['https://app.example.com', '']) {
      const { app } = await build(t, {
        ...configured('http://127.0.0.1:9'),
        APP_FRONTEND_URL: '',
        RATE_LIMIT: '3',
        RATE_LIMIT_LOGIN: '1',
        RATE_LIMIT_REFUSED: '1',
        BACKEND_CORS_ORIGINS,
        APP_ENV: 'production'
      })
      for (const path of ['/', '/healthz', '/api/healthz', '/oauth/jira']) {
        stopsAfter(t, 20, await asked(app, 20, path), 200, path)
      }
      for (let i = 0; i < 3; i++) {
        await app.inject({
          method: 'OPTIONS',
          url: '/users',
          remoteAddress: HERE,
          headers: { origin: 'https://app.example.com', 'access-control-request-method': 'POST' }
        })
      }
      t.equal(
        (await asked(app, 1, '/nothing'))[0]?.statusCode,
        404,
        'none of it was counted as a guess'
      )
    }
  }
)

t.test('C10 A limit of 0 is none', async (t) => {
  const { app } = await build(t, { ...UNLIMITED })
  const answers = [...(await asked(app, 50, '/users')), ...(await asked(app, 50, '/nothing'))]
  t.same([...new Set(answers.map(({ statusCode }) => statusCode))], [200, 404])
  t.equal(answers[0]?.headers['ratelimit-limit'], undefined)
})

t.test('C10 Every route that may be refused says so in the OpenAPI document', async (t) => {
  const { app } = await build(t)
  const { paths } = (await app.inject('/openapi.json')).json() as {
    paths: Record<string, Record<string, { responses: Record<string, unknown> }>>
  }
  const silent = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations)
      .filter(([, { responses }]) => responses[429] === undefined || responses[503] === undefined)
      .map(([method]) => `${method} ${path}`)
  )
  t.same(silent, ['get /', 'get /healthz'])
})
