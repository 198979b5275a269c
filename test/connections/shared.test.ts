import t, { type Test } from 'tap'
import { DANA } from '../../src/sandbox/oauth/users.ts'
import {
  getAuthorizeParams,
  requestLogin,
  startTestService,
  type TestService
} from '../auth/helper.ts'
import {
  Browser,
  OAUTH_CLIENTS,
  answerConsentPage,
  CLIENT_SECRET,
  waitForRun,
  type TestApp,
  PRODUCTS,
  type Product
} from '../helper.ts'
import { ACME } from '../sandbox/helper.ts'
import { HOUR_MS } from '../time.ts'

const SHARED_CLIENT_ENV = { JIRA_OAUTH_CLIENT_ID: 'shared', CONFLUENCE_OAUTH_CLIENT_ID: 'shared' }
const ALL_SCOPES = new Set(OAUTH_CLIENTS.flatMap(({ scopes }) => scopes))
const SCOPES_BY_PRODUCT = {
  jira: OAUTH_CLIENTS[0]?.scopes ?? [],
  confluence: OAUTH_CLIENTS[1]?.scopes ?? []
}
const OTHER_PRODUCT = { jira: 'confluence', confluence: 'jira' } as const
const sharedClient = {
  id: 'shared',
  secret: CLIENT_SECRET,
  name: 'Both',
  access: 'resource' as const,
  scopes: [...ALL_SCOPES],
  redirectUris: () => true
}

const startSharedService = async (t: Test) =>
  await startTestService(t, SHARED_CLIENT_ENV, { clients: [sharedClient] })
const listConnections = async ({ app }: TestApp) =>
  (await app.inject('/users/1/connections')).json().connections as Array<Record<string, any>>
const checkConnection = async ({ app }: TestApp, product: Product) =>
  await app.inject({ method: 'POST', url: `/users/1/connections/${product}/check` })
const disconnect = async ({ app }: TestApp, product: Product) =>
  (await app.inject({ method: 'DELETE', url: `/users/1/connections/${product}` })).json()
const listGrantIds = async ({ app }: TestApp) => [
  ...new Set((await app.store.connections.list(1)).map(({ grant }) => grant.id))
]
const countRefreshes = async ({ sandbox }: TestService) =>
  ((await sandbox.admin('stats', undefined, 'GET')).exchanges as any).refresh_token?.ok ?? 0

async function runSync({ app }: TestApp, product: Product) {
  return await waitForRun(
    app,
    product,
    (await app.inject({ method: 'POST', url: `/integrations/${product}/sync` })).json().id
  )
}

/** Connects products like a person, and waits for the first sync. */
async function connectProducts(running: TestService, ...products: Product[]) {
  for (const product of products) {
    await new Browser(running.app).connect(product)
    await runSync(running, product)
  }
}

for (const first of PRODUCTS) {
  const second = OTHER_PRODUCT[first]

  t.test(
    `One client and one account, ${first} and then ${second}: one set of tokens, and both are copied`,
    async (t) => {
      const running = await startSharedService(t)
      await connectProducts(running, first)
      t.same(
        [...((await getAuthorizeParams(running, second)).get('scope')?.split(' ') ?? [])].sort(),
        [...ALL_SCOPES].sort(),
        'the second login requests the scopes of the first product too'
      )
      t.same(
        [...((await getAuthorizeParams(running, first)).get('scope')?.split(' ') ?? [])].sort(),
        [...SCOPES_BY_PRODUCT[first]].sort(),
        'no other scopes'
      )
      await connectProducts(running, second)
      t.equal((await listGrantIds(running)).length, 1)
      const grants = (await running.sandbox.admin('state', undefined, 'GET')).grants as unknown[]
      t.equal(grants.length, 1)
      for (const each of await listConnections(running)) {
        t.match(each, {
          state: 'active',
          account_id: DANA.accountId,
          site: { cloud_id: ACME },
          last_error: null
        })
        t.same([...each.scopes].sort(), [...ALL_SCOPES].sort())
      }
      for (const product of [first, second]) {
        t.match(await runSync(running, product), { state: 'succeeded' })
      }
      running.advanceTime(HOUR_MS)
      t.match(await Promise.all([runSync(running, first), runSync(running, second)]), [
        { state: 'succeeded' },
        { state: 'succeeded' }
      ])
      t.equal(await countRefreshes(running), 1, 'one refresh serves both')
      const [a, b] = await listConnections(running)
      t.ok(a?.last_refresh_at)
      t.equal(a?.last_refresh_at, b?.last_refresh_at)
    }
  )

  for (const leaving of PRODUCTS) {
    const staying = OTHER_PRODUCT[leaving]

    t.test(
      `Of ${first} and ${second} on one client, ${leaving} ends and ${staying} continues until it ends too`,
      async (t) => {
        const running = await startSharedService(t)
        await connectProducts(running, first, second)
        const [id = ''] = await listGrantIds(running)
        t.match(await disconnect(running, leaving), { product: leaving, tokens: 'kept' })
        t.match(await listConnections(running), [{ product: staying, state: 'active' }])
        t.equal((await listConnections(running)).length, 1)
        t.match(await runSync(running, staying), { state: 'succeeded' })
        running.advanceTime(HOUR_MS)
        t.match(await runSync(running, staying), { state: 'succeeded' })
        t.equal((await checkConnection(running, leaving)).statusCode, 404)
        t.equal(
          (await running.app.inject({ method: 'POST', url: `/integrations/${leaving}/sync` }))
            .statusCode,
          409
        )
        t.match(await disconnect(running, staying), { product: staying, tokens: 'erased' })
        t.same(await listConnections(running), [])
        t.equal(await running.app.store.grants.get(id), undefined)
      }
    )

    t.test(
      `Of ${first} and then ${second} on one client, ${leaving} ends and reconnects, and both work`,
      async (t) => {
        const running = await startSharedService(t)
        await connectProducts(running, first, second)
        await disconnect(running, leaving)
        await connectProducts(running, leaving)
        t.equal((await listGrantIds(running)).length, 1)
        for (const product of PRODUCTS) {
          t.match(await runSync(running, product), { state: 'succeeded' })
        }
        t.match(await listConnections(running), [{ state: 'active' }, { state: 'active' }])
      }
    )
  }
}

t.test(
  'Two clients have separate tokens, and each login requests its own scopes only',
  async (t) => {
    const running = await startTestService(t)
    await connectProducts(running, 'jira', 'confluence')
    t.equal((await listGrantIds(running)).length, 2)
    for (const product of PRODUCTS) {
      t.same(
        (await getAuthorizeParams(running, product)).get('scope')?.split(' '),
        SCOPES_BY_PRODUCT[product]
      )
    }
    t.match(await disconnect(running, 'jira'), { tokens: 'erased' })
    t.match(await runSync(running, 'confluence'), { state: 'succeeded' })
  }
)

t.test(
  'A revoked consent is reported for both products at once, and one login repairs both',
  async (t) => {
    const running = await startSharedService(t)
    await connectProducts(running, 'jira', 'confluence')
    await running.sandbox.admin('revoke', {})
    running.advanceTime(HOUR_MS)
    t.match((await checkConnection(running, 'jira')).json(), {
      status: 409,
      code: 'needs_reconnect'
    })
    t.match(await listConnections(running), [
      { state: 'needs_reconnect' },
      { state: 'needs_reconnect' }
    ])
    t.equal(
      running
        .lines()
        .filter(({ event, to }) => event === 'connection_state_changed' && to === 'needs_reconnect')
        .length,
      2
    )
    await connectProducts(running, 'confluence')
    t.match(await listConnections(running), [{ state: 'active' }, { state: 'active' }])
    for (const product of PRODUCTS) {
      t.match(await runSync(running, product), { state: 'succeeded' })
      const [newest] = (await running.app.inject(`/users/1/connections/${product}/history`)).json()
      t.match(newest, { from: 'needs_reconnect', to: 'active' })
    }
  }
)

t.test(
  'Two runs whose token is rejected refresh it once, at the same time or one after the other',
  async (t) => {
    const running = await startSharedService(t)
    await connectProducts(running, 'jira', 'confluence')
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
        await Promise.all(PRODUCTS.map(async (product) => await runSync(running, product))),
        [
          { state: 'succeeded', counts: { upstream_calls: 3 } },
          { state: 'succeeded', counts: { upstream_calls: 3 } }
        ],
        'two listings each, one of them repeated'
      )
      t.equal(await countRefreshes(running), i + 1)
    }
  }
)

t.test(
  'A login that narrows its scopes still requests the scopes of the other product',
  async (t) => {
    const running = await startSharedService(t)
    await connectProducts(running, 'jira')
    const requestedScopes = (
      await getAuthorizeParams(running, 'confluence', { scope: 'search:confluence' })
    )
      .get('scope')
      ?.split(' ')
    t.same(requestedScopes?.sort(), [...SCOPES_BY_PRODUCT.jira, 'search:confluence'].sort())
    t.same(
      (await getAuthorizeParams(running, 'confluence', { state: 'email:new@example.com' }))
        .get('scope')
        ?.split(' '),
      SCOPES_BY_PRODUCT.confluence,
      'a new user holds no scopes'
    )
  }
)

t.test(
  "Connections report at once when another user's consent removes or restores scopes of a shared account",
  async (t) => {
    const running = await startSharedService(t)
    await connectProducts(running, 'jira', 'confluence')
    const other = async (scope: string) => {
      const { url } = (
        await requestLogin(running, 'jira', { state: 'email:bob@example.com', scope })
      ).json() as { url: string }
      return await new Browser(running.app).open(await answerConsentPage(url))
    }
    t.match(
      (await other('read:jira-work read:me offline_access')).headers.location,
      /status=success&user_id=2/
    )
    t.match(await listConnections(running), [
      { product: 'jira', state: 'active' },
      { product: 'confluence', state: 'scope_missing', last_error: /read:page:confluence/ }
    ])
    t.match(await runSync(running, 'confluence'), {
      state: 'failed',
      error: { code: 'scope_missing' },
      counts: { upstream_calls: 0 }
    })
    t.equal(await countRefreshes(running), 0)
    const { login_url: mend } = (await listConnections(running))[1]?.features.find(
      ({ name }: { name: string }) => name === 'pages'
    )
    const { url } = (await running.app.inject(mend)).json() as { url: string }
    t.match(
      (await new Browser(running.app).open(await answerConsentPage(url))).headers.location,
      /status=success&user_id=1/
    )
    t.match(await listConnections(running), [{ state: 'active' }, { state: 'active' }])
    for (const product of PRODUCTS) t.match(await runSync(running, product), { state: 'succeeded' })
  }
)
