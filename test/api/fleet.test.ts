import t from 'tap'
import { createApiKey, PROTECTED_ENV } from '../access/helper.ts'
import { queryDatabase } from '../database.ts'
import { PLANTED_TOKEN, RUNS_BEGIN_MS, startFleet } from './fleet-data.ts'

const HOUR_MS = 3_600_000

t.test(
  'GET /connections lists every connection with its person, state, sites and last run',
  async (t) => {
    const { app, ada } = await startFleet(t)
    const response = await app.inject('/connections')
    const { connections, counts } = response.json()
    t.match(connections[0], {
      user: { id: ada, email: 'ada@example.com', display_name: 'Ada Lovelace' },
      product: 'jira',
      state: 'active',
      error: null,
      account_id: 'account-0',
      sites: [{ name: 'acme', url: 'https://acme.atlassian.net' }],
      last_run: { state: 'succeeded', error_code: null, finished_at: /^2026-11-01T01:00:01/ }
    })
    t.match(connections[2], {
      state: 'degraded',
      error: { code: 'upstream_timeout', detail: 'Atlassian did not respond in time.' },
      last_run: { state: 'parked', finished_at: null }
    })
    t.equal(connections[5].last_run, null)
    t.same(
      connections.map(({ state }: { state: string }) => state),
      ['active', 'needs_site', 'degraded', 'needs_reconnect', 'scope_missing', 'misconfigured']
    )
    t.same(counts, {
      total: 6,
      by_state: {
        active: 1,
        needs_site: 1,
        degraded: 1,
        needs_reconnect: 1,
        scope_missing: 1,
        misconfigured: 1
      },
      by_product: { jira: 3, confluence: 3 }
    })
    t.notMatch(response.body, PLANTED_TOKEN)
  }
)

t.test('Filters of GET /connections select and count the same connections', async (t) => {
  const { app } = await startFleet(t)
  const find = async (query: string) => {
    const { connections, counts } = (await app.inject(`/connections?${query}`)).json()
    t.equal(counts.total, connections.length, query)
    return connections.map(({ user, product }: any) => `${user.email} ${product}`)
  }
  const [ADA, ADA_CONFLUENCE, BOB, EVE, KIM, ZOE] = [
    'ada@example.com jira',
    'ada@example.com confluence',
    'bob@example.com jira',
    'eve_1@example.com jira',
    'kim@other.example confluence',
    'zoe@other.example confluence'
  ]
  for (const [query, expected] of [
    ['state=active', [ADA]],
    ['state=needs_site', [ADA_CONFLUENCE]],
    ['state=degraded', [BOB]],
    ['state=needs_reconnect', [EVE]],
    ['state=scope_missing', [KIM]],
    ['state=misconfigured', [ZOE]],
    ['product=confluence', [ADA_CONFLUENCE, KIM, ZOE]],
    ['product=confluence&state=active', []],
    ['site=acme', [ADA, ADA_CONFLUENCE, EVE]],
    ['site=acme.atlassian.net', [ADA, ADA_CONFLUENCE, EVE]],
    ['site=https%3A%2F%2Fbeta.atlassian.net%2F', [BOB, ZOE]],
    ['site=8f0c1d3e-0000-4000-8000-0000000gamma', [KIM]],
    ['site=acm', []],
    ['text=ADA', [ADA, ADA_CONFLUENCE, KIM]],
    ['text=ada%40', [ADA, ADA_CONFLUENCE]],
    ['text=beta', [BOB, ZOE]],
    ['text=e_1', [EVE]],
    ['text=100%25', [EVE]],
    ['text=_____________________________', []],
    ['text=%22', []],
    ['text=%5C', []]
  ] as const) {
    t.same(
      await find(query),
      expected.map((each) => each),
      query
    )
  }
  for (const query of ['state=good', 'product=trello', 'text=', 'text=%00', 'other=1']) {
    t.equal((await app.inject(`/connections?${query}`)).statusCode, 422, query)
  }
})

t.test('GET /connections pages with Link; the first page counts all of them', async (t) => {
  const { app } = await startFleet(t)
  const ids: number[] = []
  let url = '/connections?limit=2&product=jira'
  for (let pages = 1; ; pages++) {
    const response = await app.inject(url)
    const { connections, counts } = response.json()
    ids.push(...connections.map(({ id }: { id: number }) => id))
    t.equal(counts?.total, pages === 1 ? 3 : undefined)
    const [, next] = /^<(.*)>; rel="next"$/.exec(String(response.headers.link)) ?? []
    if (next === undefined) {
      t.equal(pages, 2)
      break
    }
    url = `/connections${next}`
  }
  t.equal(new Set(ids).size, 3)
  t.equal((await app.inject('/connections?cursor=W10')).json().code, 'invalid_cursor')
})

t.test(
  'A connection that somebody changed in the database is shown as altered, without its sites',
  async (t) => {
    const { app, url, ada } = await startFleet(t)
    await queryDatabase(
      url,
      `update connections set bound = '[{"name":"evil"}]' where user_id = ${ada}`
    )
    const { connections } = (await app.inject('/connections?product=jira')).json()
    t.match(connections[0], {
      state: 'needs_reconnect',
      error: { code: 'connection_altered' },
      sites: []
    })
  }
)

t.test('Connections without a signature are listed and counted as needs_reconnect', async (t) => {
  const { app, url } = await startFleet(t)
  await queryDatabase(
    url,
    `update connections set signature = '' where grant_id in
       (select id from grants where state <> 'needs_reconnect')`
  )
  const list = async (query: string) => (await app.inject(`/connections${query}`)).json()
  const { connections, counts } = await list('?state=needs_reconnect')
  t.same((await list('')).counts.by_state, { needs_reconnect: 6 })
  t.match(counts, { total: 6, by_product: { jira: 3, confluence: 3 } })
  t.equal(connections.length, 6)
  t.match(connections.map(({ error }: any) => error.code).sort(), [
    ...Array.from({ length: 5 }, () => 'connection_altered'),
    'upstream_timeout'
  ])
  t.match(await list('?state=needs_reconnect&product=jira&limit=2'), { counts: { total: 3 } })
  for (const state of ['active', 'needs_site', 'degraded', 'scope_missing', 'misconfigured']) {
    t.match(await list(`?state=${state}`), { connections: [], counts: { total: 0 } }, state)
  }
})

t.test(
  'GET /sync/runs lists the runs of all owners, newest first, by each filter and in pages',
  async (t) => {
    const { app, ada, bob } = await startFleet(t)
    const list = async (query: string) =>
      (await app.inject(`/sync/runs?${query}`))
        .json()
        .map(({ owner_id: owner, product, state }: any) => `${owner} ${product} ${state}`)
    const ALL = [
      `${bob} jira parked`,
      `${ada} confluence partial`,
      `${bob} jira failed`,
      `${ada} jira succeeded`,
      `${ada} jira failed`
    ]
    t.same(await list(''), ALL)
    t.same(await list('state=failed'), [ALL[2], ALL[4]])
    t.same(await list('state=parked'), [ALL[0]])
    t.same(await list('product=confluence'), [ALL[1]])
    t.same(await list(`owner_id=${ada}`), [ALL[1], ALL[3], ALL[4]])
    t.same(await list(`owner_id=${bob}&state=failed`), [ALL[2]])
    const since = new Date(RUNS_BEGIN_MS + 2 * HOUR_MS).toISOString()
    t.same(await list(`since=${since}`), ALL.slice(0, 3))
    t.same(await list(`since=${since}&state=failed`), [ALL[2]])
    const pages: string[] = []
    let query = '?limit=2'
    for (let i = 0; i < 3; i++) {
      const { headers } = await app.inject(`/sync/runs${query}`)
      pages.push(...(await list(query.slice(1))))
      query = /^<(.*)>; rel="next"$/.exec(String(headers.link))?.[1] ?? ''
    }
    t.same(pages, ALL)
    t.equal(query, '', 'no link on the last page')
    t.equal((await app.inject('/sync/runs?cursor=WzFd')).json().code, 'invalid_cursor')
    t.equal((await app.inject('/sync/runs?state=done')).statusCode, 422)
  }
)

t.test('Both lists require the scope admin', async (t) => {
  const { app } = await startFleet(t, PROTECTED_ENV)
  const admin = await createApiKey(app, ['admin'])
  const other = await createApiKey(app, [
    'users:read',
    'connections:read',
    'sync:read',
    'data:read'
  ])
  for (const url of ['/connections', '/api/connections', '/sync/runs', '/api/sync/runs']) {
    t.equal((await app.inject({ url, headers: admin.headers })).statusCode, 200, url)
    t.equal((await app.inject({ url, headers: other.headers })).statusCode, 403, url)
    t.equal((await app.inject(url)).statusCode, 401, url)
  }
})
