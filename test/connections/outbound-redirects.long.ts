import t from 'tap'
import { Browser } from '../helper.ts'
import { HOUR_MS } from '../time.ts'
import {
  SITES_PATH,
  type Product,
  createNetworkFixture,
  connectPerson,
  runSync
} from './outbound-helper.ts'

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
