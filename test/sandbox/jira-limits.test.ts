import t from 'tap'
import { ACME, getWithToken, startSignedIn } from './helper.ts'

const JQL = 'project = PAY'

async function start(t: Parameters<typeof startSignedIn>[0]) {
  const sandbox = await startSignedIn(t, { indexLagMs: 0 })
  const base = `${sandbox.url}/ex/jira/${ACME}/rest/api/3`
  const search = async (body: object) => await sandbox.jiraPost('/search/jql', body)
  return { ...sandbox, base, search }
}

t.test('maxResults of a search is 1 to 5,000', async (t) => {
  const { jira, search } = await start(t)
  const refused = {
    status: 400,
    body: { errorMessages: ['The max results parameter has to be between 1 and 5,000.'] }
  }
  for (const maxResults of [0, -1, 5001]) {
    t.match(await search({ jql: JQL, maxResults }), refused, String(maxResults))
    t.match(await jira(`/search/jql?jql=${JQL}&maxResults=${maxResults}`), refused)
  }
  t.equal((await search({ jql: JQL, maxResults: 1 })).body.issues.length, 1)
})

t.test('the eighth order field is refused', async (t) => {
  const { search } = await start(t)
  const order = (count: number) =>
    `${JQL} order by ${Array.from({ length: count }, () => 'created').join(', ')}`
  t.equal((await search({ jql: order(7) })).status, 200)
  t.match(await search({ jql: order(8) }), {
    status: 400,
    body: { errorMessages: ['JQL can be ordered by at most 7 fields.'] }
  })
})

t.test('a malformed token, an unknown member and a wrong type are 400', async (t) => {
  const { search, jiraPost } = await start(t)
  for (const body of [
    { jql: JQL, nextPageToken: 'nonsense' },
    { jql: JQL, startAt: 0 },
    { jql: JQL, maxResults: '50' },
    { jql: JQL, fields: 'summary' },
    { jql: JQL, reconcileIssues: ['10000'] },
    [JQL]
  ]) {
    t.match(await search(body), { status: 400, body: { errorMessages: [/./] } })
  }
  t.equal((await search({ jql: JQL, nextPageToken: null })).status, 200, 'null is the first page')
  t.equal((await search({ jql: JQL, nextPageToken: '' })).status, 200, 'so is an empty token')
  t.equal(
    (await jiraPost('/issue/bulkfetch', { issueIdsOrKeys: ['10000'], maxResults: 1 })).status,
    400
  )
})

t.test('a POST without JSON is 415 as problem+json', async (t) => {
  const { base, token } = await start(t)
  const bare = await getWithToken(`${base}/search/jql`, token, { method: 'POST' })
  t.match(bare, {
    status: 415,
    body: {
      title: 'Unsupported Media Type',
      detail: "Content-Type 'null' is not supported.",
      instance: '/rest/api/3/search/jql'
    }
  })
  t.equal(bare.headers.get('content-type'), 'application/problem+json')
  const text = await getWithToken(`${base}/issue/bulkfetch`, token, { method: 'POST', body: '{}' })
  t.match(text, { status: 415, body: { detail: /text\/plain/ } })
  const broken = await getWithToken(`${base}/search/jql`, token, {
    method: 'POST',
    body: '{',
    headers: { 'content-type': 'application/json' }
  })
  t.equal(broken.status, 400)
})

t.test('a POST ignores the query string', async (t) => {
  const { search, jiraPost } = await start(t)
  const first = (await search({ jql: JQL, maxResults: 3 })).body
  const again = await jiraPost(`/search/jql?nextPageToken=${first.nextPageToken}&maxResults=9`, {
    jql: JQL,
    maxResults: 3
  })
  t.strictSame(again.body.issues, first.issues)
})

t.test('JQL dates can be epoch milliseconds', async (t) => {
  const { search, admin, state } = await start(t)
  const before = state.now()
  await admin('clock', { advance_ms: 120_000 })
  await admin('issues/PAY-1', { summary: 'touched' })
  t.equal((await search({ jql: `${JQL} and updated >= ${before + 60_000}` })).body.issues.length, 1)
  t.equal(
    (await search({ jql: `${JQL} and updated >= ${before + 300_000}` })).body.issues.length,
    0
  )
})

t.test('an unsupported JQL field is named, with those that the sandbox knows', async (t) => {
  const { search } = await start(t)
  t.match(await search({ jql: 'assignee = currentUser()' }), {
    status: 400,
    body: { errorMessages: [/'assignee'.*The sandbox knows project, id, key/] }
  })
})

t.test('an unknown action of project/search is 400, an unknown parameter is ignored', async (t) => {
  const { jira } = await start(t)
  t.equal((await jira('/project/search?action=foo')).status, 400)
  t.equal((await jira('/project/search?colour=red')).status, 200)
})
