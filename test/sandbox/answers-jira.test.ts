import t from 'tap'
import { startSignedIn } from './helper.ts'

const ALL = 'project is not EMPTY order by created asc'

async function start(t: Parameters<typeof startSignedIn>[0]) {
  const sandbox = await startSignedIn(t, { indexLagMs: 0, sizes: { projects: 10, issues: 250 } })
  const setAnswers = async (rules: object) =>
    await sandbox.admin('sites/acme/answers', rules, 'PUT')
  const search = async (more: object = {}) =>
    await sandbox.jiraPost('/search/jql', { jql: ALL, maxResults: 100, ...more })
  /** Follows tokens, at most 20 pages. */
  const searchAll = async (more: object = {}) => {
    const ids: string[] = []
    let token: string | undefined
    for (let page = 0; page < 20; page++) {
      const { body } = await search({
        ...more,
        ...(token !== undefined && { nextPageToken: token })
      })
      ids.push(...body.issues.map(({ id }: { id: string }) => id))
      token = body.nextPageToken
      if (token === undefined) return { ids, isEndless: false }
    }
    return { ids, isEndless: true }
  }
  return { ...sandbox, setAnswers, search, searchAll }
}

t.test('answer rules replace each other, can be read, and name what is wrong', async (t) => {
  const { setAnswers, admin } = await start(t)
  await setAnswers({ repeat_tokens: 'same' })
  await setAnswers({ issue_errors: ['1'] })
  t.strictSame(await admin('sites/acme/answers', undefined, 'GET'), { issue_errors: ['1'] })
  t.strictSame(await admin('sites/globex/answers', undefined, 'GET'), {})
  for (const rules of [
    { colour: 1 },
    { repeat_tokens: 'sometimes' },
    { empty_pages: { count: 0 } },
    { large_pages: { above: 1, status: 418 } },
    { list_omits: { collection: 'issues', listings: 1 } },
    { list_omits: { collection: 'issues', listings: 1, share: 2 } },
    { live_docs: ['1'] },
    { count: { status: 200 } }
  ]) {
    await t.rejects(setAnswers(rules), /^400 /, JSON.stringify(rules))
  }
  await t.rejects(admin('sites/initech/answers', {}, 'PUT'), /400 no site initech/)
})

t.test('issue_errors lists issues as failed and delivers the others', async (t) => {
  const { setAnswers, jiraPost } = await start(t)
  await setAnswers({ issue_errors: ['10003'] })
  const { status, body } = await jiraPost('/issue/bulkfetch', {
    issueIdsOrKeys: ['10000', '10003', '10006', '999999'],
    fields: ['summary']
  })
  t.equal(status, 200)
  t.match(body.issueErrors, [{ id: '10003', errorMessage: /./ }])
  t.strictSame(
    body.issues.map(({ id }: { id: string }) => id),
    ['10000', '10006']
  )
})

t.test('a search can warn, and end early with isLast', async (t) => {
  const { setAnswers, search, searchAll } = await start(t)
  t.equal((await search()).body.warnings, undefined)
  await setAnswers({ search_warnings: true, truncate_at: 120 })
  t.match((await search()).body, { warnings: [{ type: /./, message: /./ }], isLast: false })
  t.equal((await searchAll()).ids.length, 120)
  await setAnswers({ search_warnings: [{ type: 'CLAUSE_LIMIT_EXCEEDED', message: 'too many' }] })
  t.strictSame((await search()).body.warnings, [
    { type: 'CLAUSE_LIMIT_EXCEEDED', message: 'too many' }
  ])
})

t.test('listings omit the same share of items for a number of listings', async (t) => {
  const { setAnswers, searchAll, jira, jiraPost } = await start(t)
  const all = (await searchAll()).ids
  await setAnswers({
    list_omits: [
      { collection: 'issues', share: 0.1, listings: 2 },
      { collection: 'projects', ids: ['10001'], listings: 1 }
    ]
  })
  const first = (await searchAll()).ids
  t.ok(first.length < all.length - 10 && first.length > all.length - 45, String(first.length))
  const hidden = all.filter((id) => !first.includes(id))
  const found = await jiraPost('/issue/bulkfetch', { issueIdsOrKeys: hidden.slice(0, 100) })
  t.equal(found.body.issues.length, hidden.length, 'reads by id find them')
  t.equal((await searchAll({ jql: `id in (${hidden.join()})` })).ids.length, hidden.length)
  t.strictSame((await searchAll()).ids, first)
  t.strictSame((await searchAll()).ids, all, 'the third listing is complete again')
  t.equal((await jira('/project/search')).body.total, 9)
  t.equal((await jira('/project/search?id=10001')).body.total, 1)
  t.equal((await jira('/project/search')).body.total, 10)
})

t.test('search tokens repeat for ever, one token or two in turn', async (t) => {
  const { setAnswers, search, searchAll } = await start(t)
  await setAnswers({ repeat_tokens: 'same' })
  t.ok((await searchAll()).isEndless)
  const { nextPageToken: first } = (await search()).body
  t.equal((await search({ nextPageToken: first })).body.nextPageToken, first)
  await setAnswers({ repeat_tokens: 'alternating' })
  const { nextPageToken: a } = (await search()).body
  const { nextPageToken: b } = (await search({ nextPageToken: a })).body
  t.not(b, a)
  t.equal((await search({ nextPageToken: b })).body.nextPageToken, a)
  t.equal((await search({ nextPageToken: a })).body.nextPageToken, b)
  t.ok((await searchAll({ maxResults: 5000 })).isEndless, 'also a listing of one page')
  t.notOk((await searchAll({ jql: 'id in (10000, 10003)' })).isEndless, 'but no look-up')
})

t.test('empty pages with a token follow the first page', async (t) => {
  const { setAnswers, search, searchAll } = await start(t)
  const all = (await searchAll()).ids
  for (const cursors of ['new', 'same', 'alternating']) {
    await setAnswers({ empty_pages: { count: 3, cursors } })
    t.strictSame(await searchAll(), { ids: all, isEndless: false }, cursors)
    await setAnswers({ empty_pages: { count: 'endless', cursors } })
    t.strictSame((await searchAll()).ids.length, 100, cursors)
    t.ok((await searchAll()).isEndless, cursors)
    const tokens = new Set<string>()
    let { nextPageToken } = (await search()).body
    for (let page = 0; page < 6; page++) {
      tokens.add(nextPageToken)
      const { body } = await search({ nextPageToken })
      t.strictSame(body.issues, [])
      nextPageToken = body.nextPageToken
    }
    t.equal(tokens.size, { new: 6, same: 1, alternating: 2 }[cursors])
  }
})

t.test('large pages and batches fail in the way chosen, smaller ones succeed', async (t) => {
  const { setAnswers, search, jira, jiraPost, url, token } = await start(t)
  for (const status of [500, 502, 503, 504]) {
    await setAnswers({ large_pages: { above: 10, status } })
    t.equal((await search()).status, status)
    t.equal((await search({ maxResults: 10 })).status, 200)
  }
  t.equal((await jira('/project/search')).status, 200)
  const ids = (await search({ maxResults: 10 })).body.issues.map(({ id }: { id: string }) => id)
  await setAnswers({ large_pages: { above: 5, status: 'cut-json' } })
  await t.rejects(jiraPost('/issue/bulkfetch', { issueIdsOrKeys: ids }), SyntaxError)
  t.equal((await jiraPost('/issue/bulkfetch', { issueIdsOrKeys: ids.slice(0, 5) })).status, 200)
  await setAnswers({ large_pages: { above: 5, status: 'timeout' } })
  const init = { headers: { authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(50) }
  const acme = '8f0c1d3e-2222-4b4b-9a9a-000000000001'
  await t.rejects(fetch(`${url}/ex/jira/${acme}/rest/api/3/project/search`, init), /timeout/)
  await setAnswers({ large_pages: { above: 50, status: 500, cursor_bound: true } })
  const { nextPageToken } = (await search({ maxResults: 20 })).body
  t.equal((await search({ maxResults: 10, nextPageToken })).status, 400)
  t.equal((await search({ maxResults: 20, nextPageToken })).status, 200)
})

t.test('a batch or page with a failing item is a 500, a search for ids is not', async (t) => {
  const { setAnswers, search, jiraPost } = await start(t)
  await setAnswers({ failing_items: ['10003'] })
  t.equal((await jiraPost('/issue/bulkfetch', { issueIdsOrKeys: ['10000', '10003'] })).status, 500)
  t.equal((await jiraPost('/issue/bulkfetch', { issueIdsOrKeys: ['10000'] })).status, 200)
  t.equal((await search({ fields: ['summary'] })).status, 500)
  t.equal((await search()).status, 200)
})

t.test('approximate-count can be wrong or refused', async (t) => {
  const { setAnswers, jiraPost } = await start(t)
  const count = async () => await jiraPost('/search/approximate-count', { jql: ALL })
  await setAnswers({ count: { factor: 1.08 } })
  t.strictSame((await count()).body, { count: 270 })
  await setAnswers({ count: { status: 400 } })
  t.equal((await count()).status, 400)
})

t.test('1,000 issues fit into a bulk fetch of few fields if the site allows it', async (t) => {
  const { setAnswers, searchAll, jiraPost } = await start(t)
  const { ids } = await searchAll()
  const fetchIds = async (more: object) =>
    (await jiraPost('/issue/bulkfetch', { issueIdsOrKeys: ids, ...more })).status
  t.equal(await fetchIds({ fields: ['summary'] }), 400)
  await setAnswers({ bulk_limit: 1000 })
  t.equal(await fetchIds({ fields: ['summary'] }), 200)
  t.equal(await fetchIds({}), 400, 'without fields')
  t.equal(await fetchIds({ fields: ['summary', 'comment'] }), 400, 'with several values')
  t.equal(await fetchIds({ fields: ['summary'], expand: ['changelog'] }), 400)
})
