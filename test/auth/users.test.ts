import t from 'tap'
import { answerConsentPage, FRONTEND_URL, PRODUCTS, type Product } from '../helper.ts'
import { USER_HINTS, UNKNOWN_USER_HINTS, VERBATIM_STATES } from '../fixtures/hints.ts'
import {
  buildFailureUrl,
  openCallback,
  requestLogin,
  PRODUCTION_ENV,
  startTestService,
  buildSuccessUrl,
  countTokenCalls,
  type TestService
} from './helper.ts'

async function getCallbackUrl(
  running: TestService,
  product: Product,
  state?: string
): Promise<string> {
  const answer = await requestLogin(running, product, state === undefined ? {} : { state })
  if (answer.statusCode !== 200) {
    throw new Error(`${answer.statusCode} for ${JSON.stringify(state)}`)
  }
  return await answerConsentPage(answer.json().url as string)
}

async function createUsers(running: TestService) {
  for (const email of ['ada@example.com', 'bob@example.com']) {
    await running.app.inject({ method: 'POST', url: '/users', payload: { email } })
  }
}

const listUsers = async ({ app }: TestService) =>
  (await app.inject('/users')).json() as Array<{ id: number; email: string }>

t.test('The user hint in a state selects the user, in every spelling', async (t) => {
  const running = await startTestService(t, PRODUCTION_ENV)
  await createUsers(running)
  const got: unknown[] = []
  for (const [state] of USER_HINTS) {
    got.push(
      (await openCallback(running, await getCallbackUrl(running, 'jira', state))).headers.location
    )
  }
  t.strictSame(
    got,
    USER_HINTS.map(([state, id]) => buildSuccessUrl('jira', id, state))
  )
  t.same(
    (await listUsers(running)).map(({ email }) => email),
    [
      'ada@example.com',
      'bob@example.com',
      'new@example.com',
      'newer@example.com',
      'jürgen@bücher.example',
      'first.last+tag@example.local'
    ]
  )
})

t.test(
  'A user hint that names nobody is refused at login: no consent, no call, no user',
  async (t) => {
    const running = await startTestService(t, PRODUCTION_ENV)
    await createUsers(running)
    for (const state of UNKNOWN_USER_HINTS) {
      const answer = await requestLogin(running, 'jira', { state })
      const status = /\b99\b/.test(state) ? 404 : 422
      t.match(
        answer.json(),
        status === 404
          ? { code: 'user_not_found', detail: 'The state names a user that does not exist.' }
          : { code: 'validation_failed', errors: [{ pointer: '/state' }] },
        state
      )
      t.equal(answer.statusCode, status, state)
    }
    t.equal(await countTokenCalls(running.sandbox), 0)
    t.equal((await listUsers(running)).length, 2)
    t.match(
      (
        await running.app.inject({ method: 'POST', url: '/integrations/jira/connect', payload: {} })
      ).json(),
      { connected: false }
    )
  }
)

t.test('Creates the user of a new address after the exchange and not before', async (t) => {
  const running = await startTestService(t, PRODUCTION_ENV)
  const refused = await getCallbackUrl(running, 'jira', 'email:new@example.com')
  t.same(await listUsers(running), [], 'the login created no user')
  await running.sandbox.admin('faults', {
    match: { path: '/oauth/token' },
    kind: 'status',
    status: 400,
    body: { error: 'invalid_request' }
  })
  t.equal(
    (await openCallback(running, refused)).headers.location,
    buildFailureUrl('jira', 'invalid_code', 'email:new@example.com')
  )
  t.same(await listUsers(running), [], 'a refused code created no user')
  t.equal(
    (await openCallback(running, await getCallbackUrl(running, 'jira', 'email:new@example.com')))
      .headers.location,
    buildSuccessUrl('jira', 1, 'email:new@example.com')
  )
  t.match(await listUsers(running), [{ id: 1, email: 'new@example.com' }])
})

t.test('Without a hint, the first user is the one with the lowest id', async (t) => {
  const running = await startTestService(t, PRODUCTION_ENV)
  await createUsers(running)
  for (let i = 0; i < 5; i++) {
    await running.app.inject({
      method: 'POST',
      url: '/users',
      payload: { email: `later${i}@example.com` }
    })
  }
  for (const product of PRODUCTS) {
    t.equal(
      (await openCallback(running, await getCallbackUrl(running, product))).headers.location,
      buildSuccessUrl(product)
    )
  }
})

t.test(
  'Without any user, creates one placeholder user, and the list of users still answers',
  async (t) => {
    const running = await startTestService(t, PRODUCTION_ENV)
    for (const product of PRODUCTS) {
      t.equal(
        (await openCallback(running, await getCallbackUrl(running, product))).headers.location,
        buildSuccessUrl(product)
      )
    }
    const answer = await running.app.inject('/users')
    t.equal(answer.statusCode, 200)
    t.match(answer.json(), [
      {
        id: 1,
        email:
          /^oauth-user-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}@example\.local$/,
        display_name: null
      }
    ])
    t.equal(answer.json().length, 1)
    t.equal((await running.app.inject('/users/1')).statusCode, 200)
    t.equal(
      (
        await openCallback(
          running,
          await getCallbackUrl(running, 'jira', `email:${answer.json()[0].email}`)
        )
      ).headers.location?.includes('user_id=1&'),
      true,
      'its address is a valid one'
    )
  }
)

t.test("The caller's state is returned byte for byte", async (t) => {
  const running = await startTestService(t, { ...PRODUCTION_ENV, LOG_LEVEL: 'WARN' })
  for (const state of VERBATIM_STATES) {
    if (state.includes('user_id')) await createUsers(running)
    const { headers } = await openCallback(
      running,
      await getCallbackUrl(running, 'confluence', state)
    )
    t.ok(
      headers.location?.startsWith(
        `${FRONTEND_URL}/oauth/callback?provider=confluence&status=success&user_id=1&state=`
      )
    )
    t.strictSame(new URL(headers.location ?? '').searchParams.getAll('state'), [state])
    const [, encoded = ''] = /&state=(.*)&connection_state=/.exec(headers.location ?? '') ?? []
    t.strictSame(decodeURIComponent(encoded), state)
    t.match(headers.location, /^[!-~]+$/, 'an ASCII header')
  }
})

t.test('Rejects a state of 513 characters, with a NUL, or sent twice', async (t) => {
  const { app } = await startTestService(t)
  for (const query of [`state=${'x'.repeat(513)}`, 'state=a%00b', 'state=a&state=b']) {
    t.match((await app.inject(`/auth/jira/login?${query}`)).json(), {
      status: 422,
      errors: [{ pointer: '/state' }]
    })
  }
})

t.test('An empty state is returned empty, and a missing state is not returned', async (t) => {
  const running = await startTestService(t)
  t.match(
    (await openCallback(running, await getCallbackUrl(running, 'jira'))).headers.location,
    /user_id=1&connection_state=active$/
  )
  t.match(
    (await openCallback(running, await getCallbackUrl(running, 'jira', ''))).headers.location,
    /user_id=1(&state=)?&connection_state=active$/
  )
})
