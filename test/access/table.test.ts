import t from 'tap'
import { SCOPES, type Principal, type Rule } from '../../src/access/rules.ts'
import { newSecret } from '../../src/access/secrets.ts'
import { SMALL } from '../auth/helper.ts'
import { build, connected, type Test } from '../helper.ts'
import { bearer, HTTPS, keyed, PROTECTED, provider } from './helper.ts'
import { requestTo, tableOf, type Row } from './table.ts'

const DOCS = ['/docs', '/docs/static/*', '/docs/json', '/docs/yaml', '/openapi.json']
const OPEN = [
  '/',
  '/healthz',
  '/connect',
  '/auth/jira/callback',
  '/auth/confluence/callback',
  '/oauth/atlassian/callback'
]
const PAGES = ['/oauth/jira', '/oauth/confluence', '/oauth/callback']
const nameOf = ({ method, url }: Pick<Row, 'method' | 'url'>) => `${method} ${url}`

/** The service in production, where browsers come by https. */
async function service(t: Test, env: NodeJS.ProcessEnv = {}) {
  const idp = await provider(t)
  const { app } = await connected(t, {
    env: { APP_ENV: 'production', ...PROTECTED, ...HTTPS, ...idp.env, ...env },
    sandbox: SMALL
  })
  await app.ready()
  let people = 0
  /** Somebody new, with everything that speaks for them. */
  const person = async () => {
    const headers = bearer(await idp.sign({ sub: `person-${++people}` }))
    const { redirect_url: login } = (
      await app.inject({ method: 'POST', url: '/integrations/jira/connect', headers })
    ).json()
    const id = Number(/\d+$/.exec(login as string)?.[0])
    const admin = await keyed(app, ['connections:write'])
    const { token, url } = (
      await app.inject({
        method: 'POST',
        url: '/connect-sessions',
        headers: admin.headers,
        payload: { user: id }
      })
    ).json()
    return { id, headers, session: bearer(token as string), link: url as string }
  }
  return { app, person }
}

type Service = Awaited<ReturnType<typeof service>>

/** The cookie of a browser that has opened a link. */
async function cookieOf({ app }: Service, link: string): Promise<{ cookie: string }> {
  const { pathname, search } = new URL(link)
  const [cookie] = (await app.inject(pathname + search)).cookies
  return { cookie: `${cookie?.name}=${cookie?.value}` }
}

/** What a credential must come to: a status, or "in", which is anything that is not about the credential. */
type Outcome = 401 | 403 | 404 | 'in'

function expected(
  kind: Principal['kind'] | 'nobody' | 'foreigner' | 'cookie',
  { rule, method }: Row
): Outcome {
  const { owner, session } = rule as Exclude<Rule, string>
  if (kind === 'nobody') return 401
  if (kind === 'cookie') return session === true && ['GET', 'HEAD'].includes(method) ? 'in' : 401
  if (kind === 'session') return session === true ? 'in' : 403
  if (owner === undefined) return 403
  return kind === 'foreigner' && owner !== 'itself' ? 404 : 'in'
}

t.test(
  'C6 T01 Every route × every credential answers what its rule says',
  { timeout: 300_000 },
  async (t) => {
    const running = await service(t)
    const { app, person } = running
    const ada = await person()
    const eve = await person()
    const some = { cookie: (await cookieOf(running, (await person()).link)).cookie }
    const revoked = await keyed(app, [...SCOPES], { name: 'revoked' })
    await app.store.apiKeys.revoke({ name: 'revoked' })
    const expired = await keyed(app, [...SCOPES], { expiresAt: new Date(Date.now() - 1_000) })
    const dead: Array<[string, Record<string, string>]> = [
      ['no credential', {}],
      ['malformed', { authorization: 'Bearer' }],
      ['another scheme', { authorization: 'Basic YWRhOng=' }],
      ['a wrong key', bearer(newSecret('ck'))],
      ['a revoked key', revoked.headers],
      ['an expired key', expired.headers],
      ['a wrong session', bearer(newSecret('cs'))],
      ['a wrong token', bearer('eyJhbGciOiJub25lIn0.e30.')],
      ['a wrong cookie', { cookie: `${some.cookie}x` }],
      ['a cookie without its prefix', { cookie: some.cookie.replace('__Host-', '') }]
    ]
    const guarded = tableOf(app).filter(({ rule }) => typeof rule === 'object')
    t.ok(guarded.length > 100, `${guarded.length} guarded routes`)
    const tried = new Map<string, number>()
    const check = async (
      row: Row,
      title: string,
      owner: number,
      headers: Record<string, string>,
      outcome: Outcome
    ) => {
      const answer = await app.inject({ ...requestTo(row, owner), headers })
      const is = `${nameOf(row)} with ${title}: ${answer.statusCode}`
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
                await keyed(
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
        SCOPES.map(async (scope) => [scope, (await keyed(app, [scope])).headers] as const)
      )
    )
    for (const row of guarded) {
      const { scope } = row.rule as Exclude<Rule, string>
      for (const [title, headers] of dead) await check(row, title, ada.id, headers, 401)
      await check(row, 'a key without the scope', ada.id, lacking.get(scope) ?? {}, 403)
      await check(row, 'a foreign person', ada.id, eve.headers, expected('foreigner', row))
      // What is let in may remove whom it is about: each has a person of its own.
      const mine = await person()
      const cookie = await cookieOf(running, mine.link)
      await check(row, 'a connect session', mine.id, mine.session, expected('session', row))
      await check(row, "a connect session's cookie", mine.id, cookie, expected('cookie', row))
      await check(row, 'the right person', mine.id, mine.headers, expected('user', row))
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

t.test(
  "T01 What is open to everybody is this list, and nothing else; a credential there is nobody's business",
  async (t) => {
    const { app } = await service(t)
    const urls = (rule: Rule, from = app) =>
      [
        ...new Set(
          tableOf(from)
            .filter((row) => row.rule === rule)
            .map(({ url }) => url)
        )
      ]
        .filter((url) => !url.startsWith('/api'))
        .sort()
    t.same(urls('open'), [...OPEN].sort())
    t.same(
      urls('docs').filter((url) => !DOCS.includes(url) && !url.startsWith('/docs/')),
      []
    )
    t.same(
      tableOf(app)
        .filter(({ rule }) => rule === undefined)
        .map(nameOf)
        .filter((name) => !name.startsWith('OPTIONS')),
      []
    )
    for (const url of OPEN) {
      const [none, wrong] = await Promise.all(
        [{}, bearer(newSecret('ck'))].map(async (headers) => await app.inject({ url, headers }))
      )
      t.equal(wrong?.statusCode, none?.statusCode, url)
      if (url !== '/connect') t.not(none?.statusCode, 401, url)
    }
    const alone = await service(t, { APP_FRONTEND_URL: '' })
    t.same(
      urls('open', alone.app),
      [...OPEN, ...PAGES].sort(),
      'and the pages that stand in for a front end'
    )
    const { app: development } = await build(t)
    await development.ready()
    t.same(
      urls('open', development).filter((url) => !url.startsWith('/sandbox')),
      [...OPEN, ...PAGES].sort(),
      'in development also the sandbox'
    )
  }
)

t.test('T01 A route that does not say who may call it stops the start', async (t) => {
  const { app } = await build(t)
  app.get('/forgotten', async () => 'everything')
  await t.rejects(
    async () => {
      await app.ready()
    },
    { message: /^Routes that do not say who may call them: GET \/forgotten, HEAD \/forgotten$/ }
  )
  t.equal((await app.inject('/forgotten')).statusCode, 403, 'and nothing is answered')
})

t.test(
  'C6 The description says of each route which scope it needs, and of no open one',
  async (t) => {
    const { app } = await service(t)
    let described = 0
    for (const { method, url, rule, operation } of tableOf(app)) {
      if (operation === undefined) {
        t.not(typeof rule, 'object', `${method} ${url} is described`)
        continue
      }
      described++
      t.same(
        operation.security,
        typeof rule === 'object' ? [{ bearer: [rule.scope] }] : undefined,
        `${method} ${url}`
      )
      if (typeof rule !== 'object') continue
      t.ok(
        ['401', '403'].every((status) => status in operation.responses),
        `${method} ${url} has its refusals`
      )
      t.match(operation.description, `Scope \`${rule.scope}\``)
    }
    t.ok(described > 100)
  }
)

t.test(
  'With API_ACCESS=public nobody has to say who they are; a key that is wrong is refused all the same',
  async (t) => {
    const { app } = await build(t)
    await app.ready()
    const { id } = (
      await app.inject({ method: 'POST', url: '/users', payload: { email: 'ada@example.com' } })
    ).json()
    const guarded = tableOf(app).filter(
      ({ rule, method, url }) =>
        typeof rule === 'object' && !(method === 'DELETE' && url.endsWith('/:user_id'))
    )
    for (const row of guarded) {
      const request = requestTo(row, id as number)
      const free = await app.inject(request)
      t.notOk(
        [401, 403].includes(free.statusCode) || free.statusCode >= 500,
        `${nameOf(row)}: ${free.statusCode}`
      )
      t.equal(
        (await app.inject({ ...request, headers: bearer(newSecret('ck')) })).statusCode,
        401,
        nameOf(row)
      )
    }
  }
)
