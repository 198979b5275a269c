import t from 'tap'
import {
  ACME,
  createCallers,
  getWithToken,
  refreshTokens,
  signIn,
  startSignedIn
} from './helper.ts'

const DANA = encodeURIComponent('712020:1c2d3e4f-0000-4000-8000-aabbccddeeff')
const SAM = encodeURIComponent('712020:9f8e7d6c-0000-4000-8000-001122334455')

t.test('a dead token gets 200 and nothing where Jira allows anonymous calls', async (t) => {
  const { url, admin } = await startSignedIn(t)
  const { jira, jiraPost, wiki } = createCallers(url, 'dead')
  t.equal((await jira('/project/search')).status, 401, 'by default it is refused')
  for (const variant of ['seraph', 'silent']) {
    await admin('sites/acme/answers', { dead_token: variant }, 'PUT')
    const projects = await jira('/project/search')
    t.match(projects, { status: 200, body: { values: [], total: 0, isLast: true } })
    t.equal(
      projects.headers.get('x-seraph-loginreason'),
      variant === 'seraph' ? 'AUTHENTICATED_FAILED' : null
    )
    t.equal(projects.headers.get('x-aaccountid'), null)
    const jql = 'project = PAY'
    t.match((await jiraPost('/search/jql', { jql })).body, { issues: [], isLast: true })
    t.match((await jiraPost('/search/approximate-count', { jql })).body, { count: 0 })
    t.strictSame((await jiraPost('/issue/bulkfetch', { issueIdsOrKeys: ['10000'] })).body, {
      issues: [],
      issueErrors: []
    })
    t.equal((await jira('/project/10000')).status, 404)
    t.equal((await jira('/issue/10000')).status, 404)
    t.equal((await jira('/serverInfo')).status, 200)
    t.equal((await jira('/myself')).status, 401, 'myself is never anonymous')
    t.equal((await wiki('/api/v2/pages')).status, 401)
  }
})

t.test('an expired token is dead too', async (t) => {
  const { jira, admin } = await startSignedIn(t)
  await admin('sites/acme/answers', { dead_token: 'seraph' }, 'PUT')
  t.equal((await jira('/project/search')).body.total, 12)
  await admin('clock', { advance_ms: 3_700_000 })
  t.match(await jira('/project/search'), { status: 200, body: { total: 0 } })
})

t.test('X-AAccountId is the URL-encoded account, absent, or that of another person', async (t) => {
  const { jira, admin } = await startSignedIn(t)
  const header = async () => (await jira('/project/search')).headers.get('x-aaccountid')
  t.equal(await header(), DANA)
  await admin('sites/acme/answers', { account_header: 'other' }, 'PUT')
  t.equal(await header(), SAM)
  await admin('sites/acme/answers', { account_header: 'absent' }, 'PUT')
  t.equal(await header(), null)
})

t.test('access tokens can be opaque', async (t) => {
  const { url, token, admin } = await startSignedIn(t)
  t.equal(token.split('.').length, 3)
  await admin('tokens', { format: 'opaque' })
  const opaque = await signIn(url)
  t.match(opaque.access_token, /^[\w-]{100,}$/)
  t.equal((await getWithToken(`${url}/me`, opaque.access_token)).status, 200)
  t.equal((await refreshTokens(url, opaque.refresh_token)).status, 200)
  t.equal((await getWithToken(`${url}/me`, token)).status, 200, 'earlier tokens keep working')
  await t.rejects(admin('tokens', { format: 'paseto' }), /400 format must be one of jwt, opaque/)
})

t.test('deprecated paths carry the headers that announce a removal', async (t) => {
  const { url, token, jira, admin } = await startSignedIn(t)
  const sunset = 'Fri, 01 Jan 2027 00:00:00 GMT'
  await admin(
    'sites/acme/answers',
    { deprecated: [{ path: '/project/search', sunset }, { path: '*/pages' }] },
    'PUT'
  )
  t.match(Object.fromEntries((await jira('/project/search')).headers), {
    deprecation: /GMT$/,
    sunset,
    link: /rel="deprecation"/,
    warning: /^299 - "Deprecated API/
  })
  t.equal((await jira('/myself')).headers.get('deprecation'), null)
  const pages = await getWithToken(`${url}/ex/confluence/${ACME}/wiki/api/v2/pages?limit=1`, token)
  t.match(pages.headers.get('link'), /rel="next".*rel="deprecation"/, 'next to its own links')
  t.equal(pages.headers.get('sunset'), null)
})
