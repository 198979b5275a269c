import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { Agent, buildConnector, type Dispatcher } from 'undici'
import type { FastifyInstance } from 'fastify'
import { buildApp } from '../../src/app.ts'
import { SMALL_SANDBOX } from '../auth/helper.ts'
import { ensureDatabase, queryDatabase } from '../database.ts'
import { Browser, OAUTH_CLIENTS, buildSandboxEnv, VAULT_KEY } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { ACME, startSandbox, type RunningSandbox } from '../sandbox/helper.ts'
import { HOUR_MS } from '../time.ts'
import type { TestContext } from '../types.ts'

const ALLOWED_PATH = new RegExp(
  '^/(oauth/token|oauth/token/accessible-resources|me|' +
    String.raw`ex/(jira|confluence)/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/(rest|wiki)/[\w/-]+)$`,
  'i'
)
const SITE_URL = 'https://acme.atlassian.net'
const SITES_PATH = '/oauth/token/accessible-resources'
const SCOPES = {
  jira: ['read:jira-work'],
  confluence: ['read:page:confluence', 'read:space:confluence']
}
type Product = keyof typeof SCOPES

interface NetworkFixture {
  app: FastifyInstance
  sandbox: RunningSandbox
  query: <T>(sql: string, ...values: unknown[]) => Promise<T[]>
  /** A server that the service must never call. */
  foreignUrl: string
  advanceTime: (ms: number) => void
  /** Returns forbidden calls of the service since the last call of this function. */
  takeViolations: () => string[]
  /** Requested paths since the last call of `takeViolations`. */
  listPaths: () => string[]
}

/** A service whose network records every connection and request, and allows only the sandbox. */
async function createNetworkFixture(t: TestContext): Promise<NetworkFixture> {
  const sandbox = await startSandbox(t, { clients: OAUTH_CLIENTS, ...SMALL_SANDBOX })
  const url = await ensureDatabase(t, join(createTempFolder(t), 'c.db'))
  const hits: string[] = []
  const other = createServer((request, response) => {
    hits.push(`${request.method} ${request.url} ${request.headers.authorization ?? ''}`)
    response.end('{}')
  }).listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => {
    other.closeAllConnections()
    other.close()
  })
  const foreignUrl = `http://127.0.0.1:${(other.address() as AddressInfo).port}`

  const connections: string[] = []
  let calls: Array<{ origin: string; path: string; bearer: boolean }> = []
  const connect = buildConnector({})
  const agent = new Agent({
    connect: (options, callback) => {
      connections.push(`${options.protocol}//${options.hostname}:${options.port}`)
      if (connections.at(-1) === sandbox.url) connect(options, callback)
      else callback(new Error('A foreign host'), null)
    }
  })
  t.teardown(() => agent.close())
  const network: Dispatcher = agent.compose((dispatch) => (options, handler) => {
    calls.push({
      origin: String(options.origin),
      path: options.path,
      bearer: /authorization/i.test(JSON.stringify(options.headers))
    })
    return dispatch(options, handler)
  })
  let ahead = 0
  const app = await buildApp({
    env: {
      APP_ENV: 'test',
      INTEGRATION_DB_URL: url,
      VAULT_KEYS: VAULT_KEY,
      ...buildSandboxEnv(sandbox.url)
    },
    network,
    now: () => Date.now() + ahead
  })
  t.teardown(() => app.close())
  return {
    app,
    sandbox,
    query: async (sql, ...values) => await queryDatabase(url, sql, ...values),
    foreignUrl,
    advanceTime: (ms) => {
      ahead += ms
    },
    listPaths: () => calls.map(({ path }) => path),
    takeViolations: () => {
      const wrong = [
        ...connections
          .filter((origin) => origin !== sandbox.url)
          .map((origin) => `connected to ${origin}`),
        ...hits.map((hit) => `reached a foreign server: ${hit}`),
        ...calls
          .filter(
            ({ origin, path }) =>
              origin !== sandbox.url || !ALLOWED_PATH.test(path.replace(/\?[^#]*$/, ''))
          )
          .map(
            ({ origin, path, bearer }) => `asked ${origin}${path}${bearer ? ' with a token' : ''}`
          )
      ]
      for (const list of [connections, hits]) list.length = 0
      calls = []
      return wrong
    }
  }
}

async function fakeResponse(
  { sandbox }: NetworkFixture,
  path: string,
  body: unknown,
  times = 100
): Promise<void> {
  await sandbox.admin('faults', { kind: 'status', status: 200, body, match: { path }, times })
}

/** Logs in a new person and returns the id of their new user. */
async function connectPerson(
  { app }: NetworkFixture,
  product: Product,
  name: string
): Promise<number> {
  const { headers } = await new Browser(app).connect(
    product,
    `&state=email%3D${name}%40example.com`
  )
  const user = Number(/status=success.*user_id=(\d+)/.exec(headers.location ?? '')?.[1])
  if (!(user > 0)) throw new Error(`The login failed: ${headers.location}`)
  return user
}

/** Runs a sync, which can fail. */
async function runSync(
  { app }: NetworkFixture,
  product: Product,
  user: number,
  mode = ''
): Promise<Record<string, any>> {
  let run = (
    await app.inject({
      method: 'POST',
      url: `/integrations/${product}/sync?owner_id=${user}${mode}`
    })
  ).json() as Record<string, any>
  for (let i = 0; run.finished_at === null && i < 3_000; i++) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    run = (await app.inject(`/integrations/${product}/sync/runs/${run.id}`)).json() as Record<
      string,
      any
    >
  }
  return run
}

/** Every URL in a user's connection and copies that is not plain http(s). */
async function findUnsafeUrls(
  { app }: NetworkFixture,
  product: Product,
  user: number
): Promise<string[]> {
  const { connections } = (await app.inject(`/users/${user}/connections`)).json() as {
    connections: Array<Record<string, any>>
  }
  const items = (
    await app.inject(product === 'jira' ? `/jira/projects/${user}` : `/confluence/pages/${user}`)
  ).json() as Array<{ url: string | null }>
  const shownUrls = [...connections.flatMap(({ site, sites }) => [site, ...sites]), ...items]
    .map((each) => each?.url)
    .filter((url) => typeof url === 'string')
  return shownUrls.filter((url) => {
    const { protocol, username, password } = URL.parse(url) ?? {}
    return !/^https?:$/.test(protocol ?? '') || username !== '' || password !== ''
  })
}

const HOSTILE_CLOUD_IDS: unknown[] = [
  '..',
  '../../admin',
  `${ACME}/../../admin`,
  `../${ACME}`,
  '..%2f..%2fadmin',
  '%2e%2e/%2e%2e/admin',
  `${ACME}%2f..%2f..`,
  `..\\..\\${ACME}`,
  `${ACME}?x=1`,
  `${ACME}#`,
  `${ACME};x`,
  `${ACME} `,
  ` ${ACME}`,
  `${ACME}\n`,
  `${ACME}\r\nHost: evil.example`,
  `${ACME}/rest/api/3/myself`,
  '//evil.example',
  '@evil.example',
  'evil.example',
  'http://169.254.169.254/latest',
  `{${ACME}}`,
  `urn:uuid:${ACME}`,
  ACME.replaceAll('-', ''),
  ACME.replace('8', '８'),
  ACME.replace('8', 'g'),
  `${ACME}${ACME}`,
  'a'.repeat(100_000),
  '',
  '.',
  '/',
  '\\',
  '*',
  1,
  0,
  -1,
  1e21,
  null,
  true,
  [ACME],
  { toString: ACME },
  `\0${ACME}`,
  `${ACME}\0/..`,
  `${ACME}\uD800`,
  ACME.toUpperCase()
]

t.test(`C13 T17 Requests none of ${HOSTILE_CLOUD_IDS.length} hostile cloud ids`, async (t) => {
  const fixture = await createNetworkFixture(t)
  for (const [i, id] of HOSTILE_CLOUD_IDS.entries()) {
    const product = i % 2 === 0 ? 'jira' : 'confluence'
    const name = `${JSON.stringify(id).slice(0, 60)}`
    await fakeResponse(fixture, SITES_PATH, [
      { id, name: 'hostile', url: SITE_URL, scopes: SCOPES[product] }
    ])
    const user = await connectPerson(fixture, product, `id${i}`)
    await runSync(fixture, product, user)
    const {
      connections: [connection]
    } = (await fixture.app.inject(`/users/${user}/connections`)).json() as {
      connections: Array<Record<string, any>>
    }
    const storedCloudIds = (connection?.sites as Array<{ cloud_id: string }>).map(
      ({ cloud_id: cloudId }) => cloudId
    )
    t.ok(
      storedCloudIds.every((cloudId) => cloudId.toLowerCase() === ACME),
      `${name}: ${storedCloudIds.length === 0 ? 'left out' : 'read as the site that it is'}`
    )
    if (typeof id === 'string') {
      const { statusCode } = await fixture.app.inject({
        method: 'PUT',
        url: `/users/${user}/connections/${product}/site`,
        payload: { cloud_id: id }
      })
      t.equal(
        statusCode,
        storedCloudIds.includes(id) ? 200 : id.length > 65_536 ? 413 : 422,
        `${name}: cannot be selected either`
      )
    }
    if (storedCloudIds.length === 0) {
      t.notOk(
        fixture.listPaths().some((path) => path.startsWith('/ex/')),
        `${name}: the gateway is not called`
      )
    }
    t.same(fixture.takeViolations(), [], name)
    await fixture.sandbox.admin('faults', undefined, 'DELETE')
  }
})

t.test('C13 T17 A cloud id modified in the database is not requested', async (t) => {
  const fixture = await createNetworkFixture(t)
  const user = await connectPerson(fixture, 'jira', 'one')
  t.match(await runSync(fixture, 'jira', user), { state: 'succeeded' })
  fixture.takeViolations()
  for (const cloudId of HOSTILE_CLOUD_IDS.filter(
    (id): id is string =>
      typeof id === 'string' && !id.includes('\uD800') && id.toLowerCase() !== ACME
  )) {
    await fixture.query(
      "update connections set state = 'active', error_code = null, bound = ?",
      JSON.stringify([{ cloudId, name: 'x', url: SITE_URL }])
    )
    t.match(
      await runSync(fixture, 'jira', user),
      { state: 'failed' },
      JSON.stringify(cloudId).slice(0, 60)
    )
    t.notOk(
      fixture.listPaths().some((path) => path.startsWith('/ex/')),
      'the gateway is not called'
    )
    t.same(fixture.takeViolations(), [])
  }
})

const HOSTILE_SITE_URLS: unknown[] = [
  'javascript:alert(1)',
  'JavaScript:alert(1)//https://acme.atlassian.net',
  'java\nscript:alert(1)',
  'data:text/html,<script>alert(1)</script>',
  'vbscript:x',
  'file:///etc/passwd',
  'ftp://acme.atlassian.net',
  'blob:https://acme.atlassian.net/x',
  'view-source:https://acme.atlassian.net',
  'about:blank',
  'ws://acme.atlassian.net',
  '//evil.example',
  '/relative',
  '',
  'https://',
  'https://[::1',
  'acme.atlassian.net',
  null,
  1,
  {},
  [SITE_URL],
  'http://169.254.169.254/latest/meta-data',
  'http://127.0.0.1:1/',
  'http://localhost/',
  'http://[::1]:1/',
  'http://2130706433/',
  'http://0x7f.1/',
  'https://evil.example',
  'https://acme.atlassian.net.evil.example/',
  'https://acme.atlassian.net@evil.example/',
  'https://user:secret@acme.atlassian.net',
  'https://acme.atlassian.net/?x=1#y',
  'https://acme.atlassian.net/"><script>',
  'https://acme.atlassian.net/\n\nx',
  'https:\\\\evil.example',
  ' https://acme.atlassian.net ',
  'HTTPS://ACME.ATLASSIAN.NET//'
]

t.test(`C13 T28 Opens none of ${HOSTILE_SITE_URLS.length} hostile site addresses`, async (t) => {
  const fixture = await createNetworkFixture(t)
  for (const [i, url] of [...HOSTILE_SITE_URLS, fixture.foreignUrl].entries()) {
    const product = i % 2 === 0 ? 'jira' : 'confluence'
    await fakeResponse(fixture, SITES_PATH, [
      { id: ACME, name: 'hostile', url, scopes: SCOPES[product] }
    ])
    const user = await connectPerson(fixture, product, `url${i}`)
    await runSync(fixture, product, user)
    await fixture.app.inject({
      method: 'POST',
      url: `/users/${user}/connections/${product}/check`
    })
    t.same(await findUnsafeUrls(fixture, product, user), [], String(url))
    t.same(fixture.takeViolations(), [], String(url))
    await fixture.sandbox.admin('faults', undefined, 'DELETE')
  }
})

const buildHostileLinks = (foreign: string): unknown[] => [
  `${foreign}/wiki/api/v2/pages?cursor=abc`,
  `//${new URL(foreign).host}/wiki/api/v2/pages?cursor=abc`,
  'https://evil.example/?cursor=abc',
  'http://169.254.169.254/?cursor=abc',
  'https://acme.atlassian.net@evil.example/?cursor=a',
  'javascript:alert(1)?cursor=abc',
  'file:///etc/passwd?cursor=abc',
  '\\\\evil.example\\?cursor=abc',
  '/../../../admin/state?cursor=abc',
  '../../admin?cursor=abc',
  '?cursor=../../../admin',
  '?cursor=%2F..%2F..%2Fadmin',
  '?cursor=abc%23',
  '?cursor=abc%26limit%3D9999',
  '?cursor=a%0d%0aHost:%20evil.example',
  '?cursor=%00',
  '?cursor=http%3A%2F%2Fevil.example',
  `?cursor=${'x'.repeat(5_000)}`,
  '?cursor=',
  '#?cursor=abc',
  'http://[::1',
  'abc',
  1,
  {},
  ['?cursor=abc']
]

t.test('C13 T28 Uses only the cursor of a hostile next-page link, at the gateway', async (t) => {
  const fixture = await createNetworkFixture(t)
  const user = await connectPerson(fixture, 'confluence', 'one')
  await runSync(fixture, 'confluence', user)
  t.same(fixture.takeViolations(), [])
  for (const [i, next] of buildHostileLinks(fixture.foreignUrl).entries()) {
    const link = typeof next === 'string' ? next.replace('abc', `abc${i}`) : next
    const page = {
      id: `${900 + i}`,
      spaceId: '../../1&ids=2',
      title: 'x',
      _links: {
        webui: [
          '@evil.example/',
          '.evil.example/x',
          '/spaces/../../..//evil.example/',
          '/spaces/x/"><script>',
          'https://evil.example'
        ][i % 5]
      }
    }
    await fakeResponse(
      fixture,
      '/wiki/api/v2/pages',
      { results: [page], _links: { next: link, base: fixture.foreignUrl } },
      1
    )
    await fakeResponse(
      fixture,
      '/wiki/api/v2/spaces',
      { results: [{ id: '../../1&ids=2', key: '../x' }], _links: { next: link } },
      1
    )
    const { counts } = await runSync(fixture, 'confluence', user, '&mode=full')
    t.ok(
      counts.seen >= 1 && counts.seen + counts.skipped >= 2,
      `${String(next).slice(0, 60)}: the space and the page were read`
    )
    t.ok(fixture.listPaths().some((path) => path.includes('/wiki/api/v2/pages')))
    t.same(await findUnsafeUrls(fixture, 'confluence', user), [])
    t.same(
      (
        await fixture.query<{ url: string }>('select url from pages where deleted_at is null')
      ).filter(({ url }) => new URL(url).origin !== SITE_URL),
      [],
      'items stay on their site'
    )
    t.same(fixture.takeViolations(), [], String(next).slice(0, 60))
    await fixture.sandbox.admin('faults', undefined, 'DELETE')
  }

  const jira = await connectPerson(fixture, 'jira', 'two')
  await runSync(fixture, 'jira', jira)
  for (const [i, key] of [
    '../../admin',
    '//evil.example',
    'a"><script>',
    '@evil.example',
    'javascript:alert(1)'
  ].entries()) {
    const link = `${fixture.foreignUrl}/rest/api/3/project/search`
    await fakeResponse(
      fixture,
      '/project/search',
      {
        values: [{ id: `${900 + i}`, key, name: 'x', self: link }],
        nextPage: link,
        self: link,
        isLast: false,
        total: -1
      },
      1
    )
    t.ok((await runSync(fixture, 'jira', jira, '&mode=full')).counts.seen >= 1)
    t.ok(
      (await fixture.query<{ key: string }>('select key from projects')).some(
        (row) => row.key === key
      ),
      `${key} was read`
    )
    t.same(await findUnsafeUrls(fixture, 'jira', jira), [], key)
    t.same(
      (
        await fixture.query<{ url: string }>('select url from projects where deleted_at is null')
      ).filter(({ url }) => !new URL(url).href.startsWith(`${SITE_URL}/browse/`)),
      [],
      'items stay on their site'
    )
    t.same(fixture.takeViolations(), [], key)
  }
})

const buildRedirects = (
  sandbox: string,
  foreign: string
): Array<[status: number, target: string]> => [
  [301, `${foreign}/stolen`],
  [302, `//${new URL(foreign).host}/stolen`],
  [303, `${sandbox}/admin/state`],
  [307, '/admin/state'],
  [308, 'https://evil.example/']
]

t.test('C13 T28 No redirect is followed, for any endpoint, status and target', async (t) => {
  const fixture = await createNetworkFixture(t)
  const { app, sandbox, advanceTime, foreignUrl } = fixture
  const user = await connectPerson(fixture, 'jira', 'one')
  await runSync(fixture, 'jira', user)
  fixture.takeViolations()
  const check = async () =>
    await app.inject({ method: 'POST', url: `/users/${user}/connections/jira/check` })
  const location = async () =>
    (await new Browser(app).connect('jira', '&state=email%3Dthree%40example.com')).headers
      .location ?? ''
  const ENDPOINTS: Array<
    [name: string, match: { path: string; method?: string }, ask: () => Promise<boolean>]
  > = [
    [
      'the token endpoint, for a code',
      { path: '/oauth/token', method: 'POST' },
      async () => !(await location()).includes('status=success')
    ],
    [
      'the token endpoint, for a refresh',
      { path: '/oauth/token', method: 'POST' },
      async () => {
        advanceTime(2 * HOUR_MS)
        return (await check()).statusCode === 502
      }
    ],
    ['/me', { path: '/me' }, async () => !(await location()).includes('status=success')],
    [
      'the sites, at a login',
      { path: SITES_PATH },
      async () => !(await location()).includes('status=success')
    ],
    ['the sites, at a check', { path: SITES_PATH }, async () => (await check()).statusCode === 502]
  ]
  for (const [name, match, ask] of ENDPOINTS) {
    for (const [status, target] of buildRedirects(sandbox.url, foreignUrl)) {
      await sandbox.admin('faults', {
        kind: 'redirect',
        status,
        headers: { location: target },
        match,
        times: 2
      })
      t.ok(await ask(), `${name}: ${status} is a failure`)
      t.ok(
        fixture.listPaths().some((path) => path.includes(match.path)),
        'the endpoint was called'
      )
      t.same(fixture.takeViolations(), [], `${name}: ${status} to ${target}`)
      await sandbox.admin('faults', undefined, 'DELETE')
    }
    advanceTime(2 * HOUR_MS)
    t.match((await check()).json(), { state: 'active' }, `${name}: works again`)
  }
})

t.test(
  'C13 T28 Follows no redirect of a listing, also on retries; the copies remain',
  async (t) => {
    const fixture = await createNetworkFixture(t)
    const { sandbox, foreignUrl } = fixture
    const LISTINGS = [
      ['jira', 'projects', '/rest/api/3/project/search'],
      ['confluence', 'pages', '/wiki/api/v2/pages']
    ] as const
    const people: Array<[product: Product, collection: string, user: number]> = []
    for (const name of ['one', 'two']) {
      for (const [product, collection] of LISTINGS) {
        people.push([
          product,
          collection,
          await connectPerson(fixture, product, `${product}-${name}`)
        ])
      }
    }
    for (const [product, , user] of people) {
      t.match(await runSync(fixture, product, user), { state: 'succeeded' })
    }
    fixture.takeViolations()
    // A run makes four attempts, and there are two runs for each path: together they meet every
    // status.
    const all = buildRedirects(sandbox.url, foreignUrl)
    for (const [, , path] of LISTINGS) {
      for (const [status, target] of [...all, ...all].slice(0, 8)) {
        await sandbox.admin('faults', {
          kind: 'redirect',
          status,
          headers: { location: target },
          match: { path },
          times: 1
        })
      }
    }
    const runs = await Promise.all(
      people.map(async ([product, , user]) => await runSync(fixture, product, user, '&mode=full'))
    )
    for (const [i, [product, collection]] of people.entries()) {
      t.match(
        runs[i],
        {
          state: 'partial',
          error: { code: 'upstream_invalid_answer' },
          failures: [{ collection, remote_id: null, code: 'upstream_invalid_answer' }],
          counts: { removed: 0 }
        },
        product
      )
    }
    for (const [, , path] of LISTINGS) {
      t.equal(
        fixture.listPaths().filter((each) => each.includes(path)).length,
        8,
        `${path}: four attempts in each run`
      )
    }
    t.same(fixture.takeViolations(), [])
    for (const [product, , user] of people) {
      t.match(
        await runSync(fixture, product, user, '&mode=full'),
        { state: 'succeeded', counts: { added: 0, removed: 0 } },
        'works again'
      )
    }
  }
)
