import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { service, type Product, type Service } from '../auth/helper.ts'
import { contentsOf, databaseAt } from '../database.ts'
import { met } from '../grants/helper.ts'
import { Browser, build, configured, synced, type Built } from '../helper.ts'
import { folder } from '../process/child.ts'

const HOUR_MS = 3_600_000
const REMOVE_APP = 'https://id.atlassian.com/manage-profile/apps'
const TOKENS = { path: '/oauth/token', method: 'POST' }
const PROJECTS = { path: 'project/search' }

const leave = async ({ app }: Built, product: Product, query = '', user = 1) =>
  await app.inject({ method: 'DELETE', url: `/users/${user}/connections/${product}${query}` })
const leaveAll = async ({ app }: Built, query = '', user = 1) =>
  await app.inject({ method: 'DELETE', url: `/users/${user}${query}` })
const check = async ({ app }: Built, product = 'jira', user = 1) =>
  await app.inject({ method: 'POST', url: `/users/${user}/connections/${product}/check` })
const startCopy = async ({ app }: Built) =>
  (await app.inject({ method: 'POST', url: '/integrations/jira/sync' })).json().id as number
const items = async ({ app }: Built, list = 'jira/projects') =>
  (await app.inject(`/${list}/1`)).json() as Array<Record<string, unknown>>
const changes = async ({ app }: Built, since = '') =>
  await app.inject(`/users/1/changes?limit=1000${since === '' ? '' : `&since=${since}`}`)

/** Counts what arrives at the sandbox from now on, answered or not. */
function arrivals({
  sandbox: {
    world: { faults }
  }
}: Service): () => number {
  const take = faults.take.bind(faults)
  let count = 0
  faults.take = (...call) => {
    count++
    return take(...call)
  }
  return () => count
}

/** User 1, ada@example.com, with both products, their copies, and a row posted by hand. */
async function settled(
  t: Test,
  env: NodeJS.ProcessEnv = {},
  sizes = { projects: 2, pages: 2 }
): Promise<Service> {
  const running = await service(t, env, { sizes })
  for (const [i, product] of ['jira', 'confluence'].entries()) {
    await new Browser(running.app).connect(product, '&state=email:ada@example.com')
    await synced(running.app, product, i + 1)
  }
  await running.app.inject({
    method: 'POST',
    url: '/jira/projects',
    payload: { owner_id: 1, key: 'HAND', name: 'By hand' }
  })
  return running
}

t.test(
  'B13 A connection that ends takes tokens and copies along, once, and says where the person removes the app',
  async (t) => {
    const running = await settled(t)
    t.match((await leave(running, 'jira', '?copies=x')).json(), {
      status: 422,
      errors: [{ pointer: '/copies', detail: 'Value must be one of keep, erase.' }]
    })
    t.match((await leave(running, 'jira', '?keep=1')).json(), {
      status: 422,
      errors: [{ pointer: '/keep' }]
    })
    t.equal((await items(running)).length, 3, 'and nothing has happened')
    t.equal((await items(running, 'jira/issues')).length, 300)
    const { next: since } = (await changes(running)).json()
    t.equal((await changes(running, since)).statusCode, 200)
    const answer = await leave(running, 'jira')
    t.equal(answer.statusCode, 200)
    t.strictSame(answer.json(), {
      product: 'jira',
      copies: 'erased',
      tokens: 'erased',
      remove_app_url: REMOVE_APP
    })
    t.match(await items(running), [{ key: 'HAND' }], 'what was posted by hand stays')
    t.equal((await items(running)).length, 1)
    t.equal((await items(running, 'jira/issues')).length, 0)
    const told = (await changes(running, since)).json()
    t.match(
      told,
      { status: 410, code: 'cursor_expired' },
      'whoever follows the changes begins again'
    )
    t.same(
      (await changes(running, told.cursor))
        .json()
        .changes.map(({ collection }: { collection: string }) => collection)
        .sort(),
      ['pages', 'pages', 'projects', 'spaces', 'spaces', 'spaces', 'spaces']
    )
    t.match(
      running.lines().filter(({ event }) => event === 'connection_removed'),
      [{ user_id: 1, product: 'jira', copies_kept: false, tokens_erased: true }]
    )

    t.match((await leave(running, 'jira')).json(), { status: 404, code: 'connection_not_found' })
    t.match((await leave(running, 'jira', '', 2)).json(), { status: 404, code: 'user_not_found' })
    t.match((await check(running)).json(), { status: 404, code: 'connection_not_found' })
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
    t.equal((await items(running, 'confluence/pages')).length, 2)
  }
)

t.test(
  'B13 Copies that are kept are found again by the next connection, not doubled',
  async (t) => {
    const running = await settled(t)
    const before = await items(running)
    t.strictSame((await leave(running, 'jira', '?copies=keep')).json(), {
      product: 'jira',
      copies: 'kept',
      tokens: 'erased',
      remove_app_url: REMOVE_APP
    })
    t.strictSame(await items(running), before)
    await new Browser(running.app).connect('jira')
    t.match(await synced(running.app, 'jira', 3), { counts: { added: 0, unchanged: 302 } })
    t.strictSame(await items(running), before)
    t.equal((await leave(running, 'jira', '?copies=erase')).json().copies, 'erased')
    t.equal((await items(running)).length, 1)
  }
)

t.test(
  'B13 Copies that are kept are made whole by the next connection, whose account may see more',
  async (t) => {
    const running = await service(t, {}, { sizes: { spaces: 1, pages: 20 }, indexLagMs: 0 })
    const { app, sandbox } = running
    const [site] = sandbox.world.sites
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
      t.match(await synced(app, 'confluence', i + 1), { state: 'succeeded' })
      t.equal((await items(running, 'confluence/pages')).length, sees, `what ${account} sees`)
      running.pass(HOUR_MS)
      await leave(running, 'confluence', '?copies=keep')
    }
  }
)

for (const [title, end] of [
  ['connection', leave],
  ['user', async (running: Service) => await leaveAll(running, '?copies=keep')]
] as const) {
  t.test(
    `B13 A run under way stops with its ${title}, and Atlassian is not asked again`,
    async (t) => {
      const running = await settled(t, {}, { projects: 1_000, pages: 1 })
      await leave(running, 'jira')
      await running.sandbox.admin('faults', {
        kind: 'delay',
        delay_ms: 100,
        match: PROJECTS,
        times: 100
      })
      const arrived = arrivals(running)
      await new Browser(running.app).connect('jira')
      // Token, account, sites; then the third page is on its way.
      while (arrived() < 6) await sleep(5)
      t.equal((await end(running, 'jira')).statusCode, 200)
      t.ok(
        running.lines().some(({ event, run_id: run }) => event === 'sync_error' && run === 3),
        'it has ended when the answer comes'
      )
      const [asked, left] = [arrived(), (await items(running)).length]
      t.match((await running.app.inject('/integrations/jira/sync/runs/3')).json(), {
        state: 'failed',
        error: { code: 'disconnected', detail: 'The connection was ended during the run.' }
      })
      await sleep(300)
      t.equal(arrived(), asked)
      t.equal((await items(running)).length, left, 'and no page comes late')
      if (title === 'connection') t.equal(left, 1)
    }
  )
}

t.test('B13 A run of another instance stops too, and brings no copies back', async (t) => {
  const INTEGRATION_DB_URL = await databaseAt(t, `${folder(t)}/shared.db`)
  const running = await settled(t, { INTEGRATION_DB_URL }, { projects: 500, pages: 1 })
  const other = await build(t, { ...configured(running.sandbox.url), INTEGRATION_DB_URL })
  await running.sandbox.admin('faults', {
    kind: 'delay',
    delay_ms: 100,
    match: PROJECTS,
    times: 100
  })
  const id = await startCopy(other)
  await sleep(150)
  await leave(running, 'jira')
  const [line] = await logged(
    other,
    ({ event, run_id: run }) => event === 'sync_error' && run === id
  )
  t.match(line, { error_code: 'disconnected' })
  t.match(await items(running), [{ key: 'HAND' }])
  t.equal((await items(running)).length, 1)
})

t.test(
  'B13 A check under way when the connection ends does not use its tokens again',
  async (t) => {
    const running = await settled(t, { UPSTREAM_ANSWER_TIMEOUT_MS: '500' })
    const arrived = arrivals(running)
    await running.sandbox.admin('faults', {
      kind: 'status',
      status: 401,
      body: { code: 401, message: 'Unauthorized' },
      delay_ms: 200,
      match: { path: 'accessible-resources' }
    })
    const late = check(running)
    while (arrived() === 0) await sleep(5)
    await leave(running, 'jira')
    t.match((await late).json(), { status: 409, code: 'not_connected' })
    t.equal(arrived(), 1, 'nor for others')

    await new Browser(running.app).connect('jira')
    await synced(running.app, 'jira', 3)
    running.pass(HOUR_MS)
    await running.sandbox.admin('faults', { kind: 'hang', match: TOKENS, times: 1 })
    const hanging = check(running)
    await met(running.sandbox)
    const asked = arrived()
    t.match((await leave(running, 'jira')).json(), { tokens: 'erased' })
    t.equal((await hanging).statusCode, 409)
    t.equal(arrived(), asked, 'nor repeats an exchange whose answer was lost')
  }
)

t.test('B13 A user who goes takes everything along', async (t) => {
  const running = await settled(t)
  t.match((await leaveAll(running, '?copies=x')).json(), {
    status: 422,
    errors: [{ pointer: '/copies' }]
  })
  t.equal((await items(running)).length, 3)
  const grants = (await running.app.store.connections.list(1)).map(({ grant }) => grant.id)
  t.strictSame((await leaveAll(running)).json(), {
    id: 1,
    disconnected: ['jira', 'confluence'],
    copies: 'erased',
    remove_app_url: REMOVE_APP
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
  t.match((await leaveAll(running)).json(), { status: 404, code: 'user_not_found' })
  t.match((await leaveAll(running, '', 0)).json(), {
    status: 422,
    errors: [{ pointer: '/user_id' }]
  })
})

t.test("B13 A user who goes and leaves the copies leaves them under nobody's name", async (t) => {
  const running = await settled(t)
  const before = await items(running)
  t.strictSame((await leaveAll(running, '?copies=keep')).json(), {
    id: 1,
    disconnected: ['jira', 'confluence'],
    copies: 'kept',
    remove_app_url: REMOVE_APP
  })
  t.strictSame(await items(running), before)
  t.equal((await items(running, 'confluence/pages')).length, 2)
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
    'the address belongs to somebody new'
  )
})

t.test(
  'B13 Whoever comes next does not step into the place of somebody who has gone and left copies',
  async (t) => {
    const running = await settled(t)
    await leaveAll(running, '?copies=keep')
    t.match(
      (await new Browser(running.app).connect('jira')).headers.location,
      /status=success&user_id=2$/
    )
    await synced(running.app, 'jira', 3)
    t.same((await running.app.inject('/users/1/connections')).json(), { connections: [] })
  }
)

/** Pieces of a secret in every form: a page of the database may end in the middle of one. */
function pieces(secret: string): string[] {
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
  'B13 T21 After the end not a byte of any token that there ever was is in the database, nor the name of who has gone',
  async (t) => {
    const INTEGRATION_DB_URL = await databaseAt(t, `${folder(t)}/erased.db`)
    const running = await service(t, { INTEGRATION_DB_URL })
    const other = await build(t, { ...configured(running.sandbox.url), INTEGRATION_DB_URL })
    const { signer } = running.sandbox.world
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
        if (hour > 0) t.equal((await check(running, product, user)).statusCode, 200)
        const key = `${user} ${product}`
        sealed.set(key, new Set([...(sealed.get(key) ?? []), ...(await now(user, product))]))
      }
      running.pass(HOUR_MS)
    }
    await other.app.inject('/users/1/connections')
    const gone = (...keys: string[]) => keys.flatMap((key) => [...(sealed.get(key) ?? [])])
    const found = async (secrets: Iterable<string>) => {
      const contents = await contentsOf(INTEGRATION_DB_URL)
      return [...secrets].filter((secret) =>
        pieces(secret).some((piece) => contents.includes(piece))
      ).length
    }
    t.equal(gone('1 jira').length, 17, 'six pairs, and five that came before another')
    t.ok(plain.size > 36)
    t.ok(
      (await found(await now(1, 'jira'))) === 3 &&
        (await contentsOf(INTEGRATION_DB_URL)).includes('u1@example.com'),
      'what is looked for is found while it is there'
    )

    t.match((await leave(running, 'jira')).json(), { tokens: 'erased' })
    t.equal(await found(gone('1 jira')), 0)
    t.equal(await found(await now(1, 'confluence')), 3, 'what others need stays')
    await leaveAll(running)
    t.equal(await found(gone('1 jira', '1 confluence')), 0)
    t.notOk((await contentsOf(INTEGRATION_DB_URL)).includes('u1@example.com'))
    t.equal(await found(await now(2, 'jira')), 3)
    await leave(running, 'jira', '?copies=keep', 2)
    t.equal(await found(gone('1 jira', '1 confluence', '2 jira')), 0)
    t.equal(await found(plain), 0)
  }
)

/** Waits for a line in the log. */
async function logged({ lines }: Built, fits: (line: Record<string, unknown>) => boolean) {
  for (let i = 0; i < 500 && !lines().some(fits); i++) await sleep(10)
  return lines().filter(fits)
}
