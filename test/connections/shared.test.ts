import t, { type Test } from 'tap'
import { DANA } from '../../src/sandbox/oauth/users.ts'
import {
  authorization,
  login,
  PRODUCTS,
  service,
  type Product,
  type Service
} from '../auth/helper.ts'
import { Browser, CLIENTS, decide, SECRET, synced, type Built } from '../helper.ts'
import { ACME } from '../sandbox/helper.ts'

const HOUR_MS = 3_600_000
const ENV = { JIRA_OAUTH_CLIENT_ID: 'shared', CONFLUENCE_OAUTH_CLIENT_ID: 'shared' }
const SCOPES = new Set(CLIENTS.flatMap(({ scopes }) => scopes))
const OWN = { jira: CLIENTS[0]?.scopes ?? [], confluence: CLIENTS[1]?.scopes ?? [] }
const OTHER = { jira: 'confluence', confluence: 'jira' } as const
const client = {
  id: 'shared',
  secret: SECRET,
  name: 'Both',
  access: 'resource' as const,
  scopes: [...SCOPES],
  redirectUris: () => true
}

const one = async (t: Test) => await service(t, ENV, { clients: [client] })
const view = async ({ app }: Built) =>
  (await app.inject('/users/1/connections')).json().connections as Array<Record<string, any>>
const check = async ({ app }: Built, product: Product) =>
  await app.inject({ method: 'POST', url: `/users/1/connections/${product}/check` })
const leave = async ({ app }: Built, product: Product) =>
  (await app.inject({ method: 'DELETE', url: `/users/1/connections/${product}` })).json()
const grantIds = async ({ app }: Built) => [
  ...new Set((await app.store.connections.list(1)).map(({ grant }) => grant.id))
]
const refreshes = async ({ sandbox }: Service) =>
  ((await sandbox.admin('stats', undefined, 'GET')).exchanges as any).refresh_token?.ok ?? 0

async function copy({ app }: Built, product: Product) {
  return await synced(
    app,
    product,
    (await app.inject({ method: 'POST', url: `/integrations/${product}/sync` })).json().id
  )
}

/** Connects as a person does, and waits for the first copy. */
async function connect(running: Service, ...products: Product[]) {
  for (const product of products) {
    await new Browser(running.app).connect(product)
    await copy(running, product)
  }
}

for (const first of PRODUCTS) {
  const second = OTHER[first]

  t.test(
    `One app and one account, ${first} and then ${second}: one set of tokens, and both are copied`,
    async (t) => {
      const running = await one(t)
      await connect(running, first)
      t.same(
        [...((await authorization(running, second)).get('scope')?.split(' ') ?? [])].sort(),
        [...SCOPES].sort(),
        'the second login asks for what the first holds too'
      )
      t.same(
        [...((await authorization(running, first)).get('scope')?.split(' ') ?? [])].sort(),
        [...OWN[first]].sort(),
        'and for no more than that'
      )
      await connect(running, second)
      t.equal((await grantIds(running)).length, 1)
      const grants = (await running.sandbox.admin('state', undefined, 'GET')).grants as unknown[]
      t.equal(grants.length, 1)
      for (const each of await view(running)) {
        t.match(each, {
          state: 'active',
          account_id: DANA.accountId,
          site: { cloud_id: ACME },
          last_error: null
        })
        t.same([...each.scopes].sort(), [...SCOPES].sort())
      }
      for (const product of [first, second]) {
        t.match(await copy(running, product), { state: 'succeeded' })
      }
      running.pass(HOUR_MS)
      t.match(await Promise.all([copy(running, first), copy(running, second)]), [
        { state: 'succeeded' },
        { state: 'succeeded' }
      ])
      t.equal(await refreshes(running), 1, 'one refresh is for both')
      const [a, b] = await view(running)
      t.ok(a?.last_refresh_at)
      t.equal(a?.last_refresh_at, b?.last_refresh_at)
    }
  )

  for (const leaving of PRODUCTS) {
    const staying = OTHER[leaving]

    t.test(
      `Of ${first} and then ${second} on one app, ${leaving} ends and ${staying} goes on; when it ends too the tokens are gone`,
      async (t) => {
        const running = await one(t)
        await connect(running, first, second)
        const [id = ''] = await grantIds(running)
        t.match(await leave(running, leaving), { product: leaving, tokens: 'kept' })
        t.match(await view(running), [{ product: staying, state: 'active' }])
        t.equal((await view(running)).length, 1)
        t.match(await copy(running, staying), { state: 'succeeded' })
        running.pass(HOUR_MS)
        t.match(await copy(running, staying), { state: 'succeeded' })
        t.equal((await check(running, leaving)).statusCode, 404)
        t.equal(
          (await running.app.inject({ method: 'POST', url: `/integrations/${leaving}/sync` }))
            .statusCode,
          409
        )
        t.match(await leave(running, staying), { product: staying, tokens: 'erased' })
        t.same(await view(running), [])
        t.equal(await running.app.store.grants.get(id), undefined)
      }
    )

    t.test(
      `Of ${first} and then ${second} on one app, ${leaving} ends and comes back, and both work`,
      async (t) => {
        const running = await one(t)
        await connect(running, first, second)
        await leave(running, leaving)
        await connect(running, leaving)
        t.equal((await grantIds(running)).length, 1)
        for (const product of PRODUCTS) {
          t.match(await copy(running, product), { state: 'succeeded' })
        }
        t.match(await view(running), [{ state: 'active' }, { state: 'active' }])
      }
    )
  }
}

t.test(
  'Two apps have a set of tokens each, and each login asks for its own scopes only',
  async (t) => {
    const running = await service(t)
    await connect(running, 'jira', 'confluence')
    t.equal((await grantIds(running)).length, 2)
    for (const product of PRODUCTS) {
      t.same((await authorization(running, product)).get('scope')?.split(' '), OWN[product])
    }
    t.match(await leave(running, 'jira'), { tokens: 'erased' })
    t.match(await copy(running, 'confluence'), { state: 'succeeded' })
  }
)

t.test(
  'A revoked consent is told of both products at once, and one login mends both',
  async (t) => {
    const running = await one(t)
    await connect(running, 'jira', 'confluence')
    await running.sandbox.admin('revoke', {})
    running.pass(HOUR_MS)
    t.match((await check(running, 'jira')).json(), { status: 409, code: 'needs_reconnect' })
    t.match(await view(running), [{ state: 'needs_reconnect' }, { state: 'needs_reconnect' }])
    t.equal(
      running
        .lines()
        .filter(({ event, to }) => event === 'connection_state_changed' && to === 'needs_reconnect')
        .length,
      2
    )
    await connect(running, 'confluence')
    t.match(await view(running), [{ state: 'active' }, { state: 'active' }])
    for (const product of PRODUCTS) {
      t.match(await copy(running, product), { state: 'succeeded' })
      const [newest] = (await running.app.inject(`/users/1/connections/${product}/history`)).json()
      t.match(newest, { from: 'needs_reconnect', to: 'active' })
    }
  }
)

t.test(
  'Two runs whose token is turned down refresh it once, whether they hear of it together or one after the other',
  async (t) => {
    const running = await one(t)
    await connect(running, 'jira', 'confluence')
    for (const [i, delays] of [
      [80, 80],
      [30, 250]
    ].entries()) {
      const faults = delays.map((ms) => ({
        kind: 'status',
        status: 401,
        body: { code: 401, message: 'Unauthorized' },
        delay_ms: ms,
        match: { path: '/ex/' }
      }))
      for (const fault of faults) await running.sandbox.admin('faults', fault)
      t.match(
        await Promise.all(PRODUCTS.map(async (product) => await copy(running, product))),
        [
          { state: 'succeeded', counts: { upstream_calls: 3 } },
          { state: 'succeeded', counts: { upstream_calls: 3 } }
        ],
        'two listings each, and one of them twice'
      )
      t.equal(await refreshes(running), i + 1)
    }
  }
)

t.test('A login that narrows its scopes still asks for what the other product holds', async (t) => {
  const running = await one(t)
  await connect(running, 'jira')
  const asked = (await authorization(running, 'confluence', { scope: 'search:confluence' }))
    .get('scope')
    ?.split(' ')
  t.same(asked?.sort(), [...OWN.jira, 'search:confluence'].sort())
  t.same(
    (await authorization(running, 'confluence', { state: 'email:new@example.com' }))
      .get('scope')
      ?.split(' '),
    OWN.confluence,
    'somebody new holds nothing'
  )
})

t.test(
  'A consent of another user that takes scopes away from a shared account is told at once, and one that gives them back too',
  async (t) => {
    const running = await one(t)
    await connect(running, 'jira', 'confluence')
    const other = async (scope: string) => {
      const { url } = (
        await login(running, 'jira', { state: 'email:bob@example.com', scope })
      ).json() as { url: string }
      return await new Browser(running.app).open(await decide(url))
    }
    t.match(
      (await other('read:jira-work read:me offline_access')).headers.location,
      /status=success&user_id=2/
    )
    t.match(await view(running), [
      { product: 'jira', state: 'active' },
      { product: 'confluence', state: 'scope_missing', last_error: /read:page:confluence/ }
    ])
    t.match(await copy(running, 'confluence'), {
      state: 'failed',
      error: { code: 'scope_missing' },
      counts: { upstream_calls: 0 }
    })
    t.equal(await refreshes(running), 0)
    const { login_url: mend } = (await view(running))[1]?.features.find(
      ({ name }: { name: string }) => name === 'pages'
    )
    const { url } = (await running.app.inject(mend)).json() as { url: string }
    t.match(
      (await new Browser(running.app).open(await decide(url))).headers.location,
      /status=success&user_id=1/
    )
    t.match(await view(running), [{ state: 'active' }, { state: 'active' }])
    for (const product of PRODUCTS) t.match(await copy(running, product), { state: 'succeeded' })
  }
)
