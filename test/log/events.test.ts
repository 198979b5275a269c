import t from 'tap'
import {
  Browser,
  buildTestApp,
  buildSandboxEnv,
  buildAppWithSandbox,
  FRONTEND_URL,
  waitForRun
} from '../helper.ts'

const START_EVENTS = ['oauth_login_start', 'oauth_login_redirect']
const SUCCESS_EVENTS = [
  'oauth_callback_received',
  'token_exchange_start',
  'token_exchange_response',
  'token_exchange_success',
  'oauth_user_token_persisted',
  'frontend_redirect'
]

for (const product of ['jira', 'confluence']) {
  t.test(
    `E6 A ${product} login logs every event of the contract, with request id, provider, path and method`,
    async (t) => {
      const { app, lines } = await buildAppWithSandbox(t)
      const browser = new Browser(app)
      const callback = await browser.consent(product)
      const state = new URL(callback).searchParams.get('state') ?? ''
      await browser.open(callback, {
        'x-request-id': 'the-callback',
        'user-agent': 'tester/1',
        'x-forwarded-for': '203.0.113.9',
        via: '1.1 proxy'
      })
      await waitForRun(app, product)
      const findLines = (event: string) => lines().filter((line) => line.event === event)
      for (const event of START_EVENTS) {
        t.match(
          findLines(event)[0],
          {
            level: 'info',
            logger: 'connector',
            provider: product,
            path: `/auth/${product}/login`,
            method: 'GET',
            request_id: /^[\w-]{36}$/,
            timestamp: /Z$/
          },
          event
        )
      }
      for (const event of SUCCESS_EVENTS) {
        t.match(
          findLines(event)[0],
          {
            level: 'info',
            logger: 'connector',
            provider: product,
            path: `/auth/${product}/callback`,
            method: 'GET',
            request_id: 'the-callback',
            timestamp: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
          },
          event
        )
      }
      const order = lines()
        .filter(
          ({ request_id: id, event }) => id === 'the-callback' && SUCCESS_EVENTS.includes(event)
        )
        .map(({ event }) => event)
      t.same(order, SUCCESS_EVENTS, 'in this order, once each')
      t.match(findLines('oauth_callback_received')[0], {
        query_params: { code: '[redacted]', state: '[redacted]' },
        headers: { 'user-agent': 'tester/1', 'x-forwarded-for': '203.0.113.9', via: '1.1 proxy' }
      })
      t.notOk(
        'cookie' in findLines('oauth_callback_received')[0]?.headers,
        'only headers on the allowlist'
      )
      t.equal(findLines('token_exchange_response')[0]?.status_code, 200)
      t.match(findLines('frontend_redirect')[0], { target: FRONTEND_URL, status: 'success' })
      t.match(
        lines().find(
          ({ event, request_id: id }) => event === 'request_completed' && id === 'the-callback'
        ),
        {
          status_code: 302,
          path: `/auth/${product}/callback`,
          query_params: { code: '[redacted]' }
        }
      )
      t.notOk(
        lines().some((line) => JSON.stringify(line).includes(state)),
        'the state is in no log line'
      )
    }
  )

  t.test(
    `E6 A failed ${product} login logs one …_error with the stack, under the request id`,
    async (t) => {
      const { app, lines } = await buildTestApp(t, buildSandboxEnv('http://127.0.0.1:9'))
      for (const [query, code] of [
        ['error=access_denied', 'access_denied'],
        ['', 'missing_state'],
        ['error=server_error&error_description=x', 'oauth_error']
      ]) {
        const id = `failed-${code}`
        await app.inject({
          url: `/auth/${product}/callback?${query}`,
          headers: { 'x-request-id': id }
        })
        const requestLines = lines().filter(({ request_id: logged }) => logged === id)
        t.match(
          requestLines.filter(({ event }) => event === 'oauth_callback_error'),
          [{ level: 'warn', provider: product, error_code: code, err: { stack: /AppError/ } }]
        )
        t.ok(
          requestLines.some(
            ({ event, status }) => event === 'frontend_redirect' && status === 'error'
          )
        )
      }
      await app.inject({
        url: `/auth/${product}/callback?code=abc`,
        headers: { 'x-request-id': 'no-network' }
      })
      t.match(
        lines()
          .filter(({ request_id: id, event }) => id === 'no-network' && /_error$/.test(event))
          .map(({ event }) => event),
        ['upstream_error', 'oauth_callback_error']
      )
    }
  )
}

t.test('E6 An unexpected error logs one request_error with the stack', async (t) => {
  const { app, lines } = await buildTestApp(t)
  app.store.users.list = () => {
    throw new Error('boom')
  }
  await app.inject({ url: '/users?limit=5', headers: { 'x-request-id': 'boom-1' } })
  t.match(
    lines().filter(({ event }) => event === 'request_error'),
    [
      {
        level: 'error',
        request_id: 'boom-1',
        path: '/users',
        method: 'GET',
        err: { message: 'boom', stack: /events\.test/ }
      }
    ]
  )
  t.match(
    lines().find(({ event, request_id: id }) => event === 'request_completed' && id === 'boom-1'),
    { status_code: 500, query_params: { limit: '5' } }
  )
})

t.test(
  'B10 T20 The value of a query parameter that the route does not declare is not logged',
  async (t) => {
    const { app, lines, logText } = await buildTestApp(t)
    const secret = 'sk-live-7Hq2m9Xv'
    const query = `apikey=${secret}&apikey=${secret}&__proto__=${secret}&limit=5&${secret}`
    for (const url of [
      '/users',
      '/',
      '/nothing',
      '/audit',
      '/auth/jira/login',
      '/auth/jira/callback'
    ]) {
      await app.inject({ url: `${url}?${query}` })
    }
    t.notOk(logText().replaceAll(`"${secret}":"[redacted]"`, '').includes(secret))
    t.match(
      lines().find(({ path, event }) => path === '/users' && event === 'request_completed'),
      { query_params: { limit: '5', apikey: '[redacted]' } },
      'declared parameters are'
    )
  }
)

t.test('E6 Logs exactly one closing line for every request, whatever its outcome', async (t) => {
  const { app, lines } = await buildTestApp(t)
  const requests = [
    '/',
    '/users',
    '/users/x',
    '/nothing',
    '/users?x=1',
    '/api/users',
    '/openapi.json',
    '/healthz',
    '/auth/jira/login'
  ]
  for (const [i, url] of requests.entries()) {
    await app.inject({ url, headers: { 'x-request-id': `r${i}` } })
  }
  for (const [i, url] of requests.entries()) {
    const requestLines = lines().filter(
      ({ request_id: id, event }) => id === `r${i}` && event === 'request_completed'
    )
    t.match(requestLines, [{ method: 'GET', path: url.split('?')[0], status_code: Number }], url)
  }
})
