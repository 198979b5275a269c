import t from 'tap'
import { SCOPES, type Principal, type AccessRule } from '../../src/access/rules.ts'
import { createSecret } from '../../src/access/secrets.ts'
import { SMALL_SANDBOX } from '../auth/helper.ts'
import { Browser, buildTestApp, buildAppWithSandbox } from '../helper.ts'
import type { TestContext } from '../types.ts'
import {
  buildBearerHeader,
  HTTPS_ENV,
  createApiKey,
  PROTECTED_ENV,
  startIdentityProvider
} from './helper.ts'
import { buildRouteRequest, listRouteEntries, type RouteEntry } from './table.ts'

const DOCS_PATHS = ['/docs', '/docs/static/*', '/docs/json', '/docs/yaml', '/openapi.json']
const PUBLIC_PATHS = [
  '/',
  '/livez',
  '/healthz',
  '/readyz',
  '/connect',
  '/connect/continue',
  // The forms of those pages carry a token that only the browser of the page was given.
  '/connect/end',
  '/auth/jira/callback',
  '/auth/confluence/callback',
  '/oauth/atlassian/callback'
]
const PAGE_PATHS = ['/oauth/jira', '/oauth/confluence', '/oauth/callback']
/** Forms of these pages, with a token that only the browser of the login was given. */
const FORM_PATHS = ['/oauth/jira/sites', '/oauth/confluence/sites']
const formatRoute = ({ method, url }: Pick<RouteEntry, 'method' | 'url'>) => `${method} ${url}`

/** The service in production, used by browsers over https. */
async function startProductionService(t: TestContext, env: NodeJS.ProcessEnv = {}) {
  const idp = await startIdentityProvider(t)
  const { app } = await buildAppWithSandbox(t, {
    env: { APP_ENV: 'production', ...PROTECTED_ENV, ...HTTPS_ENV, ...idp.env, ...env },
    sandbox: SMALL_SANDBOX
  })
  await app.ready()
  let people = 0
  /** A new person with all kinds of credentials. */
  const addPerson = async () => {
    const headers = buildBearerHeader(await idp.sign({ sub: `person-${++people}` }))
    const { redirect_url: login } = (
      await app.inject({ method: 'POST', url: '/integrations/jira/connect', headers })
    ).json()
    const id = Number(/\d+$/.exec(login as string)?.[0])
    const admin = await createApiKey(app, ['connections:write'])
    const { token, url } = (
      await app.inject({
        method: 'POST',
        url: '/connect-sessions',
        headers: admin.headers,
        payload: { user: id }
      })
    ).json()
    return { id, headers, session: buildBearerHeader(token as string), link: url as string }
  }
  return { app, person: addPerson }
}

type ProductionService = Awaited<ReturnType<typeof startProductionService>>

/** The session cookie of a browser that has opened a link. */
async function getSessionCookie(
  { app }: ProductionService,
  link: string
): Promise<{ cookie: string }> {
  const browser = new Browser(app)
  await browser.submit(link, { product: 'jira' })
  const name = '__Host-connect-session'
  return { cookie: `${name}=${browser.cookies.get(name) ?? ''}` }
}

/** The expected status; "in" is any response that does not refuse the credential. */
type ExpectedOutcome = 401 | 403 | 404 | 'in'

function getExpectedOutcome(
  kind: Principal['kind'] | 'nobody' | 'foreigner' | 'cookie',
  { rule, method }: RouteEntry
): ExpectedOutcome {
  const { owner, session } = rule as Exclude<AccessRule, string>
  if (kind === 'nobody') return 401
  if (kind === 'cookie') return session === true && ['GET', 'HEAD'].includes(method) ? 'in' : 401
  if (kind === 'session') return session === true ? 'in' : 403
  if (owner === undefined) return 403
  return kind === 'foreigner' && owner !== 'caller' ? 404 : 'in'
}

t.test(
  'C6 T01 Every route answers every credential as its access rule says',
  { timeout: 300_000 },
  async (t) => {
    const running = await startProductionService(t)
    const { app, person } = running
    const ada = await person()
    const eve = await person()
    const some = { cookie: (await getSessionCookie(running, (await person()).link)).cookie }
    const revoked = await createApiKey(app, [...SCOPES], { name: 'revoked' })
    await app.store.apiKeys.revoke({ name: 'revoked' })
    const expired = await createApiKey(app, [...SCOPES], {
      expiresAt: new Date(Date.now() - 1_000)
    })
    const dead: Array<[string, Record<string, string>]> = [
      ['no credential', {}],
      ['malformed', { authorization: 'Bearer' }],
      ['another scheme', { authorization: 'Basic YWRhOng=' }],
      ['a wrong key', buildBearerHeader(createSecret('jcck'))],
      ['a revoked key', revoked.headers],
      ['an expired key', expired.headers],
      ['a wrong session', buildBearerHeader(createSecret('cs'))],
      ['a wrong token', buildBearerHeader('eyJhbGciOiJub25lIn0.e30.')],
      ['a wrong cookie', { cookie: `${some.cookie}x` }],
      ['a cookie without its prefix', { cookie: some.cookie.replace('__Host-', '') }]
    ]
    const guarded = listRouteEntries(app).filter(({ rule }) => typeof rule === 'object')
    t.ok(guarded.length > 100, `${guarded.length} guarded routes`)
    const tried = new Map<string, number>()
    const check = async (
      row: RouteEntry,
      title: string,
      owner: number,
      headers: Record<string, string>,
      outcome: ExpectedOutcome
    ) => {
      const answer = await app.inject({ ...buildRouteRequest(row, owner), headers })
      const is = `${formatRoute(row)} with ${title}: ${answer.statusCode}`
      tried.set(title, (tried.get(title) ?? 0) + 1)
      if (outcome !== 'in') return t.equal(answer.statusCode, outcome, is)
      t.notOk([401, 403].includes(answer.statusCode), is)
      t.ok(answer.statusCode < 500, is)
      if (row.method !== 'HEAD' && answer.statusCode === 404) {
        t.not(answer.json().code, 'not_found', is)
      }
      if (title === 'the right person' && row.method !== 'HEAD') {
        t.notMatch(answer.body, /user_not_found/, is)
      }
    }
    const lacking = new Map(
      await Promise.all(
        SCOPES.map(
          async (scope) =>
            [
              scope,
              (
                await createApiKey(
                  app,
                  SCOPES.filter((each) => each !== scope && each !== 'admin')
                )
              ).headers
            ] as const
        )
      )
    )
    const having = new Map(
      await Promise.all(
        SCOPES.map(async (scope) => [scope, (await createApiKey(app, [scope])).headers] as const)
      )
    )
    for (const row of guarded) {
      const { scope } = row.rule as Exclude<AccessRule, string>
      for (const [title, headers] of dead) await check(row, title, ada.id, headers, 401)
      await check(row, 'a key without the scope', ada.id, lacking.get(scope) ?? {}, 403)
      await check(
        row,
        'a foreign person',
        ada.id,
        eve.headers,
        getExpectedOutcome('foreigner', row)
      )
      // An accepted request can remove its user, so each request has its own person.
      const mine = await person()
      const cookie = await getSessionCookie(running, mine.link)
      await check(
        row,
        'a connect session',
        mine.id,
        mine.session,
        getExpectedOutcome('session', row)
      )
      await check(
        row,
        "a connect session's cookie",
        mine.id,
        cookie,
        getExpectedOutcome('cookie', row)
      )
      await check(row, 'the right person', mine.id, mine.headers, getExpectedOutcome('user', row))
      for (const [title, headers] of [
        ['a key with the scope', having.get(scope)],
        ['an admin key', having.get('admin')]
      ] as const) {
        await check(row, title, (await person()).id, headers ?? {}, 'in')
      }
    }
    t.same(new Set(tried.values()), new Set([guarded.length]), `${tried.size} credentials at each`)
  }
)

t.test('T01 Only the routes in this list are public; they ignore credentials', async (t) => {
  const { app } = await startProductionService(t)
  const urls = (rule: AccessRule, from = app) =>
    [
      ...new Set(
        listRouteEntries(from)
          .filter((row) => row.rule === rule)
          .map(({ url }) => url)
      )
    ]
      .filter((url) => !url.startsWith('/api'))
      .sort()
  t.same(urls('open'), [...PUBLIC_PATHS].sort())
  t.same(
    urls('docs').filter((url) => !DOCS_PATHS.includes(url) && !url.startsWith('/docs/')),
    []
  )
  t.same(
    listRouteEntries(app)
      .filter(({ rule }) => rule === undefined)
      .map(formatRoute)
      .filter((name) => !name.startsWith('OPTIONS')),
    []
  )
  for (const url of PUBLIC_PATHS) {
    const [none, wrong] = await Promise.all(
      [{}, buildBearerHeader(createSecret('jcck'))].map(
        async (headers) => await app.inject({ url, headers })
      )
    )
    t.equal(wrong?.statusCode, none?.statusCode, url)
    if (url !== '/connect') t.not(none?.statusCode, 401, url)
  }
  const alone = await startProductionService(t, { APP_FRONTEND_URL: '' })
  t.same(
    urls('open', alone.app),
    [...PUBLIC_PATHS, ...PAGE_PATHS, ...FORM_PATHS].sort(),
    'and the built-in result pages'
  )
  const { app: development } = await buildTestApp(t)
  await development.ready()
  t.same(
    urls('open', development).filter((url) => !url.startsWith('/sandbox')),
    [...PUBLIC_PATHS, ...PAGE_PATHS, ...FORM_PATHS].sort(),
    'the sandbox too, in development'
  )
})

t.test('T01 A route without an access rule stops the start', async (t) => {
  const { app } = await buildTestApp(t)
  app.get('/forgotten', async () => 'everything')
  await t.rejects(
    async () => {
      await app.ready()
    },
    { message: /^Routes without config.access: GET \/forgotten, HEAD \/forgotten$/ }
  )
  t.equal((await app.inject('/forgotten')).statusCode, 403, 'no request is answered')
})

t.test(
  'C6 The API description names the scope of each protected route, and none for public routes',
  async (t) => {
    const { app } = await startProductionService(t)
    let described = 0
    for (const { method, url, rule, operation } of listRouteEntries(app)) {
      if (operation === undefined) {
        t.not(typeof rule, 'object', `${method} ${url} is described`)
        continue
      }
      described++
      t.same(
        operation.security,
        typeof rule === 'object' ? [{ bearer: [rule.scope] }] : [],
        `${method} ${url}`
      )
      if (typeof rule !== 'object') continue
      t.ok(
        ['401', '403'].every((status) => status in operation.responses),
        `${method} ${url} describes its refusals`
      )
      t.match(operation.description, `Scope \`${rule.scope}\``)
    }
    t.ok(described > 100)
  }
)

t.test(
  'With API_ACCESS=public, no credential is needed; an invalid key is still rejected',
  async (t) => {
    const { app } = await buildTestApp(t)
    await app.ready()
    const { id } = (
      await app.inject({ method: 'POST', url: '/users', payload: { email: 'ada@example.com' } })
    ).json()
    const guarded = listRouteEntries(app).filter(
      ({ rule, method, url }) =>
        typeof rule === 'object' &&
        !(method === 'DELETE' && url.endsWith('/:user_id')) &&
        // Replaces the key of the request, so it needs one.
        !url.endsWith('/api-keys/rotate')
    )
    for (const row of guarded) {
      const request = buildRouteRequest(row, id as number)
      const free = await app.inject(request)
      t.notOk(
        [401, 403].includes(free.statusCode) || free.statusCode >= 500,
        `${formatRoute(row)}: ${free.statusCode}`
      )
      t.equal(
        (await app.inject({ ...request, headers: buildBearerHeader(createSecret('jcck')) }))
          .statusCode,
        401,
        formatRoute(row)
      )
    }
  }
)
