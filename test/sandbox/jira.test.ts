import t from 'tap'
import { ACME, createCallers, signIn, startSandbox } from './helper.ts'

async function start(
  t: Parameters<typeof startSandbox>[0],
  options: Parameters<typeof startSandbox>[1] = {}
) {
  const sandbox = await startSandbox(t, { indexLagMs: 0, ...options })
  const { access_token: token } = await signIn(sandbox.url)
  return { ...sandbox, token, ...createCallers(sandbox.url, token) }
}

const buildSearchPath = (jql: string, more = '') =>
  `/search/jql?jql=${encodeURIComponent(jql)}${more}`

t.test('project/search pages by offset and caps the page size at 100', async (t) => {
  const { url, jira } = await start(t, { sizes: { projects: 130 } })
  const first = (await jira('/project/search?maxResults=500')).body
  t.match(first, { startAt: 0, maxResults: 100, total: 130, isLast: false })
  t.equal(first.values.length, 100)
  t.ok(first.nextPage.startsWith(`${url}/ex/jira/${ACME}/rest/api/3/project/search?`))
  const last = (await jira(first.nextPage.split('/rest/api/3')[1])).body
  t.match(last, { startAt: 100, total: 130, isLast: true })
  t.equal(last.nextPage, undefined)
  const keys = [...first.values, ...last.values].map(({ key }) => key)
  t.equal(new Set(keys).size, 130)
  t.strictSame(
    keys,
    [...keys].sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1))
  )
  t.match((await jira('/project/search?startAt=1000')).body, {
    values: [],
    isLast: true,
    total: 130
  })
})

t.test(
  'projects have both styles, unusual types, and a lead only on request and not always',
  async (t) => {
    const { jira } = await start(t, { sizes: { projects: 40 } })
    const bare = (await jira('/project/search?maxResults=100')).body.values
    t.notOk(bare.some((project: object) => 'lead' in project || 'description' in project))
    const full = (await jira('/project/search?maxResults=100&expand=lead,description')).body.values
    t.ok(full.some(({ lead }: { lead?: object }) => lead === undefined))
    t.ok(full.some(({ lead }: { lead?: { active: boolean } }) => lead?.active === false))
    t.notOk(
      full.some(({ lead }: { lead?: object }) => lead !== undefined && 'emailAddress' in lead)
    )
    t.ok(
      full.every(
        ({ id, style, simplified, entityId }: Record<string, unknown>) =>
          typeof id === 'string' &&
          (style === 'next-gen') === simplified &&
          simplified === (entityId !== undefined)
      )
    )
    const types = new Set(
      full.map(({ projectTypeKey }: { projectTypeKey: string }) => projectTypeKey)
    )
    for (const type of [
      'software',
      'business',
      'service_desk',
      'product_discovery',
      'customer_service'
    ]) {
      t.ok(types.has(type), type)
    }
  }
)

t.test('projects can be filtered and sorted', async (t) => {
  const { jira } = await start(t)
  const keys = async (params: string) =>
    (await jira(`/project/search?${params}`)).body.values.map(({ key }: { key: string }) => key)
  t.strictSame(await keys('keys=PAY&keys=OPS'), ['OPS', 'PAY'])
  t.strictSame(await keys('id=10000&id=10001'), ['OPS', 'PAY'])
  t.strictSame(await keys('query=paym'), ['PAY'])
  t.strictSame(await keys('orderBy=-key'), (await keys('orderBy=%2Bkey')).reverse())
  t.equal((await jira('/project/search?orderBy=colour')).status, 400)
})

t.test('a project can be renamed, archived, deleted and restored', async (t) => {
  const { jira, admin } = await start(t)
  await admin('projects/10000', { key: 'MONEY', name: 'Money & more' })
  t.match((await jira('/project/MONEY')).body, { id: '10000', key: 'MONEY', name: 'Money & more' })
  t.match(
    (await jira('/project/PAY')).body,
    { id: '10000', key: 'MONEY' },
    'the old key still resolves to it'
  )
  await admin('projects/10000', { archived: true })
  t.equal((await jira('/project/search')).body.total, 11)
  t.match((await jira('/project/search?status=archived')).body, {
    total: 1,
    values: [{ id: '10000', archived: true }]
  })
  t.match(await jira('/project/MONEY'), {
    status: 404,
    body: { errorMessages: ["No project could be found with key 'MONEY'."] }
  })
  await admin('projects/10000', { archived: false })
  t.equal((await jira('/project/search')).body.total, 12)
  t.match(await admin('projects', { key: 'NEW' }), { id: '10012' })
  t.equal((await jira('/project/search')).body.total, 13)
})

t.test('search/jql returns ids only, pages by token and has no total', async (t) => {
  const { jira, jiraPost } = await start(t)
  const seen: string[] = []
  let token: string | undefined
  do {
    const { status, body } = await jira(
      buildSearchPath(
        'project in (PAY, OPS) order by id',
        `&maxResults=7${token === undefined ? '' : `&nextPageToken=${encodeURIComponent(token)}`}`
      )
    )
    t.equal(status, 200)
    t.notOk('total' in body || 'startAt' in body)
    for (const issue of body.issues) t.strictSame(Object.keys(issue), ['id'])
    seen.push(...body.issues.map(({ id }: { id: string }) => id))
    token = body.nextPageToken
    t.equal(body.isLast, token === undefined)
  } while (token !== undefined)
  t.equal(seen.length, 50)
  t.equal(new Set(seen).size, 50)
  t.strictSame(
    seen,
    [...seen].sort((a, b) => Number(a) - Number(b))
  )
  t.strictSame(
    (await jiraPost('/search/approximate-count', { jql: 'project in (PAY, OPS)' })).body,
    { count: 50 }
  )
  t.equal((await jira(buildSearchPath('project = PAY', '&nextPageToken=AAAA'))).status, 400)
})

t.test('a page token belongs to its query and expires after seven days', async (t) => {
  const { url, jira, admin } = await start(t)
  const { nextPageToken: token } = (await jira(buildSearchPath('project = PAY', '&maxResults=2')))
    .body
  t.equal((await jira(buildSearchPath('project = OPS', `&nextPageToken=${token}`))).status, 400)
  t.equal((await jira(buildSearchPath('project = PAY', `&nextPageToken=${token}`))).status, 200)
  await admin('clock', { advance_ms: 7 * 86_400_000 })
  const later = createCallers(url, (await signIn(url)).access_token)
  t.equal(
    (await later.jira(buildSearchPath('project = PAY', `&nextPageToken=${token}`))).status,
    400
  )
})

t.test('a page has up to 5000 ids, or 100 issues with fields', async (t) => {
  const { jiraPost } = await start(t, { sizes: { projects: 1, issues: 6000 } })
  t.equal(
    (await jiraPost('/search/jql', { jql: 'project = PAY', maxResults: 5000 })).body.issues.length,
    5000
  )
  const { issues } = (
    await jiraPost('/search/jql', {
      jql: 'project = PAY',
      maxResults: 5000,
      fields: ['summary', 'status']
    })
  ).body
  t.equal(issues.length, 100)
  t.match(issues[0], {
    id: /^\d+$/,
    key: /^PAY-\d+$/,
    self: /\/ex\/jira\//,
    fields: { summary: String, status: { statusCategory: { key: String } } }
  })
  t.strictSame(Object.keys(issues[0].fields).sort(), ['status', 'summary'])
})

t.test('a query that is unrestricted or invalid returns 400', async (t) => {
  const { jira, jiraPost } = await start(t)
  for (const jql of ['', 'order by created']) {
    t.match(await jira(buildSearchPath(jql)), {
      status: 400,
      body: { errorMessages: [/^Unbounded JQL queries are not allowed here/], errors: {} }
    })
  }
  for (const jql of [
    'project = NOPE',
    'watchers = 5',
    'project = PAY or project = OPS',
    'project = ',
    '(((',
    'key = PAY-99999',
    'project = PAY order by nothing',
    'updated >= soon'
  ]) {
    t.match(await jira(buildSearchPath(jql)), { status: 400, body: { errorMessages: [/./] } }, jql)
  }
  t.equal(
    (await jiraPost('/search/jql', { jql: 'project = PAY', expand: ['names'] })).status,
    400,
    'expand is a string'
  )
  t.equal((await jiraPost('/search/approximate-count', { jql: '' })).status, 400)
})

t.test("dates are parsed in the user's time zone, to the minute", async (t) => {
  const at = Date.UTC(2026, 4, 4, 8, 0, 30)
  const { url, jira, admin } = await start(t, { now: () => at })
  await admin('issues/PAY-1', { summary: 'touched' })
  const sam = createCallers(url, (await signIn(url, { sandbox_account: 'sam' })).access_token)
  const found = async (caller: typeof jira, date: string) =>
    (await caller(buildSearchPath(`project = PAY and updated >= "${date}"`))).body.issues.length
  t.equal(await found(jira, '2026-05-04 11:00'), 1, '08:00:30 UTC is 11:00 in Riga')
  t.equal(await found(jira, '2026-05-04 11:01'), 0)
  t.equal(await found(sam.jira, '2026-05-04 04:00'), 1, 'and 04:00 in New York')
  t.equal(await found(sam.jira, '2026-05-04 04:01'), 0)
  t.equal(await found(jira, '-1h'), 1)
})

t.test('issues updated since a date are ordered by update time', async (t) => {
  const { jira, admin } = await start(t)
  await admin('issues/PAY-3', { summary: 'later' })
  const { issues } = (
    await jira(
      buildSearchPath(
        'project is not EMPTY and updated >= "2024-06-01" order by updated asc',
        '&fields=updated&maxResults=100'
      )
    )
  ).body
  const dates = issues.map(({ fields }: { fields: { updated: string } }) => fields.updated)
  t.ok(dates.length > 50)
  t.strictSame(dates, [...dates].sort())
  t.ok(dates.every((date: string) => date >= '2024-05-31'))
})

t.test('issues can be fetched singly and by the hundred, created and deleted', async (t) => {
  const { jira, jiraPost, admin } = await start(t)
  const created = await admin('issues', { project: 'PAY', summary: 'A new <b>one</b>' })
  t.match((await jira(`/issue/${created.key}`)).body, {
    id: created.id,
    key: 'PAY-26',
    fields: { summary: 'A new <b>one</b>', description: { type: 'doc' } }
  })
  t.match(
    (
      await jiraPost('/issue/bulkfetch', {
        issueIdsOrKeys: ['PAY-1', created.id, 'NOPE-1'],
        fields: ['summary']
      })
    ).body,
    { issues: [{ key: 'PAY-1' }, { key: 'PAY-26' }] }
  )
  t.equal(
    (await jiraPost('/issue/bulkfetch', { issueIdsOrKeys: Array(101).fill('PAY-1') })).status,
    400
  )
  await admin('issues/PAY-1', { deleted: true })
  t.equal((await jira('/issue/PAY-1')).status, 404)
  t.strictSame((await jiraPost('/search/approximate-count', { jql: 'project = PAY' })).body, {
    count: 25
  })
})
