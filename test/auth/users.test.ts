import t from 'tap'
import { decide, FRONT_END } from '../helper.ts'
import { HINTS, NOBODY, VERBATIM } from '../fixtures/hints.ts'
import {
  failure,
  finish,
  login,
  PRODUCTION,
  PRODUCTS,
  service,
  success,
  tokenCalls,
  type Product,
  type Service
} from './helper.ts'

async function callback(running: Service, product: Product, state?: string): Promise<string> {
  const answer = await login(running, product, state === undefined ? {} : { state })
  if (answer.statusCode !== 200) {
    throw new Error(`${answer.statusCode} for ${JSON.stringify(state)}`)
  }
  return await decide(answer.json().url as string)
}

async function people(running: Service) {
  for (const email of ['ada@example.com', 'bob@example.com']) {
    await running.app.inject({ method: 'POST', url: '/users', payload: { email } })
  }
}

const users = async ({ app }: Service) =>
  (await app.inject('/users')).json() as Array<{ id: number; email: string }>

t.test("A state's hint says who gets the connection, in every spelling", async (t) => {
  const running = await service(t, PRODUCTION)
  await people(running)
  const got: unknown[] = []
  for (const [state] of HINTS) {
    got.push((await finish(running, await callback(running, 'jira', state))).headers.location)
  }
  t.strictSame(
    got,
    HINTS.map(([state, id]) => success('jira', id, state))
  )
  t.same(
    (await users(running)).map(({ email }) => email),
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
  'A hint that names nobody ends as user_not_found: no call, no user, no connection',
  async (t) => {
    const running = await service(t, PRODUCTION)
    await people(running)
    const got: unknown[] = []
    for (const state of NOBODY) {
      got.push([
        state,
        (await finish(running, await callback(running, 'jira', state))).headers.location
      ])
    }
    t.strictSame(
      got,
      NOBODY.map((state) => [state, failure('jira', 'user_not_found')])
    )
    t.equal(await tokenCalls(running.sandbox), 0)
    t.equal((await users(running)).length, 2)
    t.match(
      (
        await running.app.inject({ method: 'POST', url: '/integrations/jira/connect', payload: {} })
      ).json(),
      { connected: false }
    )
  }
)

t.test(
  'The user of a new address comes into being after the exchange, and not without it',
  async (t) => {
    const running = await service(t, PRODUCTION)
    const refused = await callback(running, 'jira', 'email:new@example.com')
    t.same(await users(running), [], 'the login made nobody')
    await running.sandbox.admin('faults', {
      match: { path: '/oauth/token' },
      kind: 'status',
      status: 400,
      body: { error: 'invalid_request' }
    })
    t.equal((await finish(running, refused)).headers.location, failure('jira', 'invalid_code'))
    t.same(await users(running), [], 'nor did the refused code')
    t.equal(
      (await finish(running, await callback(running, 'jira', 'email:new@example.com'))).headers
        .location,
      success('jira', 1, 'email:new@example.com')
    )
    t.match(await users(running), [{ id: 1, email: 'new@example.com' }])
  }
)

t.test(
  'Without a hint the first user is the one with the lowest id, whoever came last',
  async (t) => {
    const running = await service(t, PRODUCTION)
    await people(running)
    for (let i = 0; i < 5; i++) {
      await running.app.inject({
        method: 'POST',
        url: '/users',
        payload: { email: `later${i}@example.com` }
      })
    }
    for (const product of PRODUCTS) {
      t.equal(
        (await finish(running, await callback(running, product))).headers.location,
        success(product)
      )
    }
  }
)

t.test(
  'Without any user a placeholder is made, once, and the list of users still answers',
  async (t) => {
    const running = await service(t, PRODUCTION)
    for (const product of PRODUCTS) {
      t.equal(
        (await finish(running, await callback(running, product))).headers.location,
        success(product)
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
        await finish(running, await callback(running, 'jira', `email:${answer.json()[0].email}`))
      ).headers.location?.includes('user_id=1&'),
      true,
      'and its address is one like any other'
    )
  }
)

t.test("The caller's state comes back byte for byte", async (t) => {
  const running = await service(t, { ...PRODUCTION, LOG_LEVEL: 'WARN' })
  for (const state of VERBATIM) {
    if (state.includes('user_id')) await people(running)
    const { headers } = await finish(running, await callback(running, 'confluence', state))
    t.ok(
      headers.location?.startsWith(
        `${FRONT_END}/oauth/callback?provider=confluence&status=success&user_id=1&state=`
      )
    )
    t.strictSame(new URL(headers.location ?? '').searchParams.getAll('state'), [state])
    t.strictSame(decodeURIComponent(headers.location?.split('&state=')[1] ?? ''), state)
    t.match(headers.location, /^[!-~]+$/, 'a header of plain characters')
  }
})

t.test('A state of 513 characters, with a NUL, or twice does not fit', async (t) => {
  const { app } = await service(t)
  for (const query of [`state=${'x'.repeat(513)}`, 'state=a%00b', 'state=a&state=b']) {
    t.match((await app.inject(`/auth/jira/login?${query}`)).json(), {
      status: 422,
      errors: [{ pointer: '/state' }]
    })
  }
})

t.test('An empty state comes back empty, and no state does not come back', async (t) => {
  const running = await service(t)
  t.match((await finish(running, await callback(running, 'jira'))).headers.location, /user_id=1$/)
  t.match(
    (await finish(running, await callback(running, 'jira', ''))).headers.location,
    /user_id=1(&state=)?$/
  )
})
