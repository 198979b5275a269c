import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { startTestService, type TestService } from '../auth/helper.ts'
import { readDatabaseContents, ensureDatabase } from '../database.ts'
import { waitForFaultHit, TOKEN_ENDPOINT } from '../grants/helper.ts'
import {
  Browser,
  buildTestApp,
  buildSandboxEnv,
  waitForRun,
  type TestApp,
  type Product
} from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { HOUR_MS } from '../time.ts'

const REMOVE_APP_URL = 'https://id.atlassian.com/manage-profile/apps'
const PROJECT_LISTING = { path: 'project/search' }

const disconnect = async ({ app }: TestApp, product: Product, query = '', user = 1) =>
  await app.inject({ method: 'DELETE', url: `/users/${user}/connections/${product}${query}` })
const deleteUser = async ({ app }: TestApp, query = '', user = 1) =>
  await app.inject({ method: 'DELETE', url: `/users/${user}${query}` })
const checkConnection = async ({ app }: TestApp, product = 'jira', user = 1) =>
  await app.inject({ method: 'POST', url: `/users/${user}/connections/${product}/check` })
const startSync = async ({ app }: TestApp) =>
  (await app.inject({ method: 'POST', url: '/integrations/jira/sync' })).json().id as number
const listItems = async ({ app }: TestApp, list = 'jira/projects') =>
  (await app.inject(`/${list}/1`)).json() as Array<Record<string, unknown>>
const getChanges = async ({ app }: TestApp, since = '') =>
  await app.inject(`/users/1/changes?limit=1000${since === '' ? '' : `&since=${since}`}`)

/** Counts requests that reach the sandbox from now on, answered or not. */
function countRequests({
  sandbox: {
    state: { faults }
  }
}: TestService): () => number {
  const take = faults.take.bind(faults)
  let count = 0
  faults.take = (...call) => {
    count++
    return take(...call)
  }
  return () => count
}

/** User 1, ada@example.com, with both products, their copies, and an item posted by hand. */
async function connectBothProducts(
  t: Test,
  env: NodeJS.ProcessEnv = {},
  sizes = { projects: 2, pages: 2 }
): Promise<TestService> {
  const running = await startTestService(t, env, { sizes })
  for (const [i, product] of ['jira', 'confluence'].entries()) {
    await new Browser(running.app).connect(product, '&state=email:ada@example.com')
    await waitForRun(running.app, product, i + 1)
  }
  await running.app.inject({
    method: 'POST',
    url: '/jira/projects',
    payload: { owner_id: 1, key: 'HAND', name: 'By hand' }
  })
  return running
}

t.test(
  'B13 Disconnecting erases tokens and copies, once, and says where the person removes the app',
  async (t) => {
    const running = await connectBothProducts(t)
    t.match((await disconnect(running, 'jira', '?copies=x')).json(), {
      status: 422,
      errors: [{ pointer: '/copies', detail: 'Value must be one of keep, erase.' }]
    })
    t.match((await disconnect(running, 'jira', '?keep=1')).json(), {
      status: 422,
      errors: [{ pointer: '/keep' }]
    })
    t.equal((await listItems(running)).length, 3, 'nothing changed')
    t.equal((await listItems(running, 'jira/issues')).length, 300)
    const { next: since } = (await getChanges(running)).json()
    t.equal((await getChanges(running, since)).statusCode, 200)
    const answer = await disconnect(running, 'jira')
    t.equal(answer.statusCode, 200)
    t.strictSame(answer.json(), {
      product: 'jira',
      copies: 'erased',
      tokens: 'erased',
      remove_app_url: REMOVE_APP_URL
    })
    t.match(await listItems(running), [{ key: 'HAND' }], 'items posted by hand remain')
    t.equal((await listItems(running)).length, 1)
    t.equal((await listItems(running, 'jira/issues')).length, 0)
    const changesPage = (await getChanges(running, since)).json()
    t.match(
      changesPage,
      { status: 410, code: 'cursor_expired' },
      'clients of the change feed begin again'
    )
    t.same(
      (await getChanges(running, changesPage.cursor))
        .json()
        .changes.map(({ collection }: { collection: string }) => collection)
        .sort(),
      ['pages', 'pages', 'projects', 'spaces', 'spaces', 'spaces', 'spaces']
    )
    t.match(
      running.lines().filter(({ event }) => event === 'connection_removed'),
      [{ user_id: 1, product: 'jira', copies_kept: false, tokens_erased: true }]
    )

    t.match((await disconnect(running, 'jira')).json(), {
      status: 404,
      code: 'connection_not_found'
    })
    t.match((await disconnect(running, 'jira', '', 2)).json(), {
      status: 404,
      code: 'user_not_found'
    })
    t.match((await checkConnection(running)).json(), { status: 404, code: 'connection_not_found' })
    t.match((await running.app.inject({ method: 'POST', url: '/integrations/jira/sync' })).json(), {
      status: 409,
      code: 'not_connected'
    })
    t.match(
      (await running.app.inject({ method: 'POST', url: '/integrations/jira/connect' })).json(),
      { connected: false }
    )
    t.match((await running.app.inject('/users/1/connections')).json().connections, [
      { product: 'confluence', state: 'active' }
    ])
    t.equal((await listItems(running, 'confluence/pages')).length, 2)
  }
)

t.test('B13 The next connection reuses kept copies and does not duplicate them', async (t) => {
  const running = await connectBothProducts(t)
  const before = await listItems(running)
  t.strictSame((await disconnect(running, 'jira', '?copies=keep')).json(), {
    product: 'jira',
    copies: 'kept',
    tokens: 'erased',
    remove_app_url: REMOVE_APP_URL
  })
  t.strictSame(await listItems(running), before)
  await new Browser(running.app).connect('jira')
  t.match(await waitForRun(running.app, 'jira', 3), { counts: { added: 0, unchanged: 302 } })
  t.strictSame(await listItems(running), before)
  t.equal((await disconnect(running, 'jira', '?copies=erase')).json().copies, 'erased')
  t.equal((await listItems(running)).length, 1)
})

t.test('B13 The next connection completes kept copies if its account sees more', async (t) => {
  const running = await startTestService(t, {}, { sizes: { spaces: 1, pages: 20 }, indexLagMs: 0 })
  const { app, sandbox } = running
  const [site] = sandbox.state.sites
  for (let i = 0; i < 10; i++) {
    await sandbox.admin('restrict', {
      page: site?.pages.at(i)?.id,
      account_id: 'dana',
      restricted: true
    })
  }
  for (const [i, [account, sees]] of (
    [
      ['dana', 10],
      ['sam', 20]
    ] as const
  ).entries()) {
    const browser = new Browser(app)
    await browser.open(
      await browser.consent('confluence', {
        query: '&state=email:ada@example.com',
        extra: `&sandbox_account=${account}`
      })
    )
    t.match(await waitForRun(app, 'confluence', i + 1), { state: 'succeeded' })
    t.equal((await listItems(running, 'confluence/pages')).length, sees, `what ${account} sees`)
    running.advanceTime(HOUR_MS)
    await disconnect(running, 'confluence', '?copies=keep')
  }
})

for (const [title, end] of [
  ['connection', disconnect],
  ['user', async (running: TestService) => await deleteUser(running, '?copies=keep')]
] as const) {
  t.test(`B13 An active run stops with its ${title}, and calls Atlassian no more`, async (t) => {
    const running = await connectBothProducts(t, {}, { projects: 1_000, pages: 1 })
    await disconnect(running, 'jira')
    await running.sandbox.admin('faults', {
      kind: 'delay',
      delay_ms: 100,
      match: PROJECT_LISTING,
      times: 100
    })
    const arrived = countRequests(running)
    await new Browser(running.app).connect('jira')
    // Token, account and sites, then the request for the third page.
    while (arrived() < 6) await sleep(5)
    t.equal((await end(running, 'jira')).statusCode, 200)
    t.ok(
      running.lines().some(({ event, run_id: run }) => event === 'sync_error' && run === 3),
      'the run has ended when the response arrives'
    )
    const [requestCount, remainingItems] = [arrived(), (await listItems(running)).length]
    t.match((await running.app.inject('/integrations/jira/sync/runs/3')).json(), {
      state: 'failed',
      error: { code: 'disconnected', detail: 'The connection was removed during the run.' }
    })
    await sleep(300)
    t.equal(arrived(), requestCount)
    t.equal((await listItems(running)).length, remainingItems, 'no page is stored afterwards')
    if (title === 'connection') t.equal(remainingItems, 1)
  })
}

t.test('B13 A run of another instance stops too and restores no copies', async (t) => {
  const INTEGRATION_DB_URL = await ensureDatabase(t, `${createTempFolder(t)}/shared.db`)
  const running = await connectBothProducts(t, { INTEGRATION_DB_URL }, { projects: 500, pages: 1 })
  const other = await buildTestApp(t, {
    ...buildSandboxEnv(running.sandbox.url),
    INTEGRATION_DB_URL
  })
  await running.sandbox.admin('faults', {
    kind: 'delay',
    delay_ms: 100,
    match: PROJECT_LISTING,
    times: 100
  })
  const id = await startSync(other)
  await sleep(150)
  await disconnect(running, 'jira')
  const [line] = await waitForLogLine(
    other,
    ({ event, run_id: run }) => event === 'sync_error' && run === id
  )
  t.match(line, { error_code: 'disconnected' })
  t.match(await listItems(running), [{ key: 'HAND' }])
  t.equal((await listItems(running)).length, 1)
})

t.test(
  'B13 A check that is active when the connection ends does not use its tokens again',
  async (t) => {
    const running = await connectBothProducts(t, { UPSTREAM_ANSWER_TIMEOUT_MS: '500' })
    const arrived = countRequests(running)
    await running.sandbox.admin('faults', {
      kind: 'status',
      status: 401,
      body: { code: 401, message: 'Unauthorized' },
      delay_ms: 200,
      match: { path: 'accessible-resources' }
    })
    const late = checkConnection(running)
    while (arrived() === 0) await sleep(5)
    await disconnect(running, 'jira')
    t.match((await late).json(), { status: 409, code: 'not_connected' })
    t.equal(arrived(), 1, 'not for other connections')

    await new Browser(running.app).connect('jira')
    await waitForRun(running.app, 'jira', 3)
    running.advanceTime(HOUR_MS)
    await running.sandbox.admin('faults', { kind: 'hang', match: TOKEN_ENDPOINT, times: 1 })
    const hanging = checkConnection(running)
    await waitForFaultHit(running.sandbox)
    const requestCount = arrived()
    t.match((await disconnect(running, 'jira')).json(), { tokens: 'erased' })
    t.equal((await hanging).statusCode, 409)
    t.equal(arrived(), requestCount, 'does not repeat an exchange whose response was lost')
  }
)

t.test('B13 Removing a user erases everything', async (t) => {
  const running = await connectBothProducts(t)
  t.match((await deleteUser(running, '?copies=x')).json(), {
    status: 422,
    errors: [{ pointer: '/copies' }]
  })
  t.equal((await listItems(running)).length, 3)
  const grants = (await running.app.store.connections.list(1)).map(({ grant }) => grant.id)
  t.strictSame((await deleteUser(running)).json(), {
    id: 1,
    disconnected: ['jira', 'confluence'],
    copies: 'erased',
    remove_app_url: REMOVE_APP_URL
  })
  for (const id of grants) t.equal(await running.app.store.grants.get(id), undefined)
  for (const path of [
    '/users/1',
    '/users/1/connections',
    '/jira/projects/1',
    '/confluence/pages/1'
  ]) {
    t.match((await running.app.inject(path)).json(), { status: 404, code: 'user_not_found' }, path)
  }
  for (const [i, product] of ['jira', 'confluence'].entries()) {
    t.equal(
      (await running.app.inject(`/integrations/${product}/sync/runs/${i + 1}`)).statusCode,
      404
    )
  }
  t.same((await running.app.inject('/users')).json(), [])
  t.match((await deleteUser(running)).json(), { status: 404, code: 'user_not_found' })
  t.match((await deleteUser(running, '', 0)).json(), {
    status: 422,
    errors: [{ pointer: '/user_id' }]
  })
})

t.test('B13 Removing a user and keeping the copies makes them anonymous', async (t) => {
  const running = await connectBothProducts(t)
  const before = await listItems(running)
  t.strictSame((await deleteUser(running, '?copies=keep')).json(), {
    id: 1,
    disconnected: ['jira', 'confluence'],
    copies: 'kept',
    remove_app_url: REMOVE_APP_URL
  })
  t.strictSame(await listItems(running), before)
  t.equal((await listItems(running, 'confluence/pages')).length, 2)
  t.match((await running.app.inject('/users/1')).json(), {
    email: /^removed-user-[\da-f-]{36}@example\.local$/,
    display_name: null
  })
  t.strictSame((await running.app.inject('/users/1/connections')).json(), { connections: [] })
  t.match(
    (
      await running.app.inject({
        method: 'POST',
        url: '/users',
        payload: { email: 'ada@example.com' }
      })
    ).json(),
    { id: 2 },
    'the address belongs to a new user'
  )
})

t.test(
  'B13 The next user does not get the id of a removed user whose copies were kept',
  async (t) => {
    const running = await connectBothProducts(t)
    await deleteUser(running, '?copies=keep')
    t.match(
      (await new Browser(running.app).connect('jira')).headers.location,
      /status=success&user_id=2&connection_state=active$/
    )
    await waitForRun(running.app, 'jira', 3)
    t.same((await running.app.inject('/users/1/connections')).json(), { connections: [] })
  }
)

/** Pieces of a secret in every encoding: a database page can end in the middle of one. */
function listSecretPieces(secret: string): string[] {
  const forms = [
    secret,
    ...(['base64', 'base64url', 'hex'] as const).map((form) => Buffer.from(secret).toString(form)),
    Buffer.from(secret).toString('hex').toUpperCase()
  ]
  return forms.flatMap((form) =>
    Array.from({ length: Math.floor(form.length / 96) + 1 }, (_, i) =>
      form.slice(i * 96, i * 96 + 40)
    ).filter((piece) => piece.length > 20)
  )
}

t.test(
  'B13 T21 After disconnecting, the database has no byte of any token, and no name of the removed user',
  async (t) => {
    const INTEGRATION_DB_URL = await ensureDatabase(t, `${createTempFolder(t)}/erased.db`)
    const running = await startTestService(t, { INTEGRATION_DB_URL })
    const other = await buildTestApp(t, {
      ...buildSandboxEnv(running.sandbox.url),
      INTEGRATION_DB_URL
    })
    const { signer } = running.sandbox.state
    const [plain, sealed] = [new Set<string>(), new Map<string, Set<string>>()]
    const sign = signer.sign.bind(signer)
    signer.sign = (claims) => {
      const token = sign(claims)
      plain.add(token)
      return token
    }
    const people: Array<[user: number, product: Product, account: string]> = [
      [1, 'jira', 'dana'],
      [1, 'confluence', 'dana'],
      [2, 'jira', 'sam']
    ]
    const now = async (user: number, product: string) => {
      const { accessToken, refreshToken, previousRefreshToken } =
        (await running.app.store.connections.get(user, product))?.grant ?? {}
      return [accessToken, refreshToken, previousRefreshToken].filter(
        (each) => typeof each === 'string'
      )
    }
    for (const [user, product, account] of people) {
      const browser = new Browser(running.app)
      await browser.open(
        await browser.consent(product, {
          query: `&state=email:u${user}@example.com`,
          extra: `&sandbox_account=${account}`
        })
      )
    }
    for (let hour = 0; hour < 6; hour++) {
      for (const [user, product] of people) {
        if (hour > 0) t.equal((await checkConnection(running, product, user)).statusCode, 200)
        const key = `${user} ${product}`
        sealed.set(key, new Set([...(sealed.get(key) ?? []), ...(await now(user, product))]))
      }
      running.advanceTime(HOUR_MS)
    }
    await other.app.inject('/users/1/connections')
    const listErased = (...keys: string[]) => keys.flatMap((key) => [...(sealed.get(key) ?? [])])
    const findSecrets = async (secrets: Iterable<string>) => {
      const contents = await readDatabaseContents(INTEGRATION_DB_URL)
      return [...secrets].filter((secret) =>
        listSecretPieces(secret).some((piece) => contents.includes(piece))
      ).length
    }
    t.equal(listErased('1 jira').length, 17, 'six pairs, five of which replaced another')
    t.ok(plain.size > 36)
    t.ok(
      (await findSecrets(await now(1, 'jira'))) === 3 &&
        (await readDatabaseContents(INTEGRATION_DB_URL)).includes('u1@example.com'),
      'the search finds the secrets while they exist'
    )

    t.match((await disconnect(running, 'jira')).json(), { tokens: 'erased' })
    t.equal(await findSecrets(listErased('1 jira')), 0)
    t.equal(await findSecrets(await now(1, 'confluence')), 3, 'the data of others remains')
    await deleteUser(running)
    t.equal(await findSecrets(listErased('1 jira', '1 confluence')), 0)
    t.notOk((await readDatabaseContents(INTEGRATION_DB_URL)).includes('u1@example.com'))
    t.equal(await findSecrets(await now(2, 'jira')), 3)
    await disconnect(running, 'jira', '?copies=keep', 2)
    t.equal(await findSecrets(listErased('1 jira', '1 confluence', '2 jira')), 0)
    t.equal(await findSecrets(plain), 0)
  }
)

/** Waits for a line in the log. */
async function waitForLogLine(
  { lines }: TestApp,
  fits: (line: Record<string, unknown>) => boolean
) {
  for (let i = 0; i < 500 && !lines().some(fits); i++) await sleep(10)
  return lines().filter(fits)
}
