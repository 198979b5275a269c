import t from 'tap'
import { ACME } from '../sandbox/helper.ts'
import {
  accept,
  ACME_URL,
  CALLBACK,
  CREDENTIALS,
  rejection,
  startAsAtlassian,
  takeDrift
} from './helper.ts'

const {
  createCloudClient,
  exchangeAuthorizationCode,
  generateAuthorizationUrl,
  getAccessibleResources,
  isAuthError,
  isNotFoundError,
  isOAuthError,
  isRateLimitError,
  isSchemaMismatchError,
  isScopeError,
  parseCallbackUrl,
  refreshOAuth2Token
} = await import('jira.js')

const SCOPES = ['read:jira-work', 'read:jira-user', 'offline_access']
const JQL = 'project is not EMPTY order by created asc'

async function login(scopes: string[] = SCOPES) {
  const url = generateAuthorizationUrl({
    clientId: CREDENTIALS.clientId,
    scopes,
    redirectUri: CALLBACK,
    state: 'st'
  })
  const { code } = parseCallbackUrl(await accept(url), { expectedState: 'st' })
  return await exchangeAuthorizationCode({ ...CREDENTIALS, code, redirectUri: CALLBACK })
}

/** A client that throws on each answer that its schema does not describe. */
async function start(t: Parameters<typeof startAsAtlassian>[0], scopes?: string[]) {
  const sandbox = await startAsAtlassian(t, { sizes: { projects: 120, issues: 300 } })
  const tokens = await login(scopes)
  const refreshed: string[] = []
  const jira = createCloudClient({
    auth: {
      type: 'oauth2',
      accessToken: tokens.accessToken,
      refreshToken: tokens.refreshToken,
      ...CREDENTIALS,
      siteUrl: ACME_URL,
      onTokenRefresh: ({ refreshToken }) => {
        refreshed.push(String(refreshToken))
      }
    },
    onSchemaMismatch: 'throw'
  })
  takeDrift()
  t.teardown(() => takeDrift())
  return { ...sandbox, tokens, jira, refreshed }
}

t.test("jira.js's OAuth helpers log in, refresh and list sites", async (t) => {
  await startAsAtlassian(t)
  const tokens = await login()
  t.match(tokens, { expiresIn: 3600, tokenType: 'Bearer', scope: SCOPES.join(' ') })
  const next = await refreshOAuth2Token({ ...CREDENTIALS, refreshToken: tokens.refreshToken ?? '' })
  t.not(next.refreshToken, tokens.refreshToken)
  const sites = await getAccessibleResources(next.accessToken)
  t.ok(sites.some(({ id, url }) => id === ACME && url === ACME_URL))
  t.ok(
    isOAuthError(await rejection(refreshOAuth2Token({ ...CREDENTIALS, refreshToken: 'unknown' })))
  )
})

t.test('jira.js lists projects to the end', async (t) => {
  const { jira } = await start(t)
  const keys: unknown[] = []
  for (let startAt = 0; ;) {
    const page = await jira.projects.searchProjects({
      startAt,
      maxResults: 50,
      expand: 'lead,description,url,insight'
    })
    keys.push(...page.values.map(({ key }) => key))
    startAt += page.values.length
    if (page.isLast === true) break
  }
  t.equal(new Set(keys).size, 120)
  const project = await jira.projects.getProject({ projectIdOrKey: 'PAY' })
  t.equal(project.id, '10000')
  t.strictSame(takeDrift(), [])
})

t.test('jira.js searches by GET and POST, counts, and fetches in bulk', async (t) => {
  const { jira } = await start(t)
  const ids: string[] = []
  let nextPageToken: string | undefined
  do {
    const page = await jira.issueSearch.searchAndReconsileIssuesUsingJqlPost({
      jql: JQL,
      maxResults: 100,
      fields: ['summary', 'status', 'created', 'updated', 'assignee', 'project', 'issuetype'],
      ...(nextPageToken !== undefined && { nextPageToken })
    })
    ids.push(...(page.issues ?? []).map(({ id }) => String(id)))
    nextPageToken = page.nextPageToken ?? undefined
  } while (nextPageToken !== undefined)
  t.equal(new Set(ids).size, 300)
  const byGet = await jira.issueSearch.searchAndReconsileIssuesUsingJql({
    jql: JQL,
    maxResults: 5000
  })
  t.strictSame(
    byGet.issues?.map(({ id }) => id),
    ids
  )
  t.equal((await jira.issueSearch.countIssues({ jql: JQL })).count, 300)
  const fetched = await jira.issues.bulkFetchIssues({
    issueIdsOrKeys: ids.slice(0, 100),
    fields: ['*all']
  })
  t.equal(fetched.issues?.length, 100)
  t.equal((await jira.issues.getIssue({ issueIdOrKey: 'PAY-1' })).id, ids[0])
  t.strictSame(takeDrift(), [])
})

t.test('jira.js reads issueErrors and warnings', async (t) => {
  const { jira, admin } = await start(t)
  await admin('sites/acme/answers', { issue_errors: ['10000'], search_warnings: true }, 'PUT')
  const { issues, issueErrors } = await jira.issues.bulkFetchIssues({ issueIdsOrKeys: ['10000'] })
  t.match([issues, issueErrors], [[], [{ id: '10000' }]])
  const page = await jira.issueSearch.searchAndReconsileIssuesUsingJqlPost({ jql: JQL })
  t.match(page.warnings, [{ type: /./, message: /./ }])
  t.strictSame(takeDrift(), [])
})

t.test(
  'jira.js reads the user and the server, and refreshes a dead access token once',
  async (t) => {
    const { jira, refreshed, admin } = await start(t)
    t.equal((await jira.serverInfo.getServerInfo()).deploymentType, 'Cloud')
    await admin('clock', { advance_ms: 3_700_000 })
    const [user] = await Promise.all([jira.myself.getCurrentUser(), jira.myself.getCurrentUser()])
    t.equal(user.timeZone, 'Europe/Riga')
    t.equal(refreshed.length, 1)
    t.strictSame(takeDrift(), [])
  }
)

t.test('jira.js tells the errors of the gateway, of Jira and of limits apart', async (t) => {
  const { jira, admin } = await start(t, ['read:jira-work', 'offline_access'])
  t.ok(isNotFoundError(await rejection(jira.issues.getIssue({ issueIdOrKey: 'NOPE-1' }))))
  t.ok(isScopeError(await rejection(jira.myself.getCurrentUser())))
  await admin('quota', { exhaust: true })
  const limited = await rejection(jira.projects.searchProjects())
  t.ok(isRateLimitError(limited) && limited.retryAfterMs === 3_600_000)
  await admin('quota', { exhaust: false })
  await admin('revoke', {})
  const dead = await rejection(jira.projects.searchProjects())
  t.ok(isAuthError(dead) || isOAuthError(dead))
})

t.test('a wrong type makes jira.js throw, and an unknown value is noticed', async (t) => {
  const { jira, admin } = await start(t)
  const spoil = { collection: 'projects', id: '10000' }
  await admin('spoil', { ...spoil, fields: { style: 'gothic' } })
  await jira.projects.getProject({ projectIdOrKey: '10000' })
  t.match(takeDrift(), [/gothic/])
  await admin('spoil', { ...spoil, fields: { name: 7 } })
  t.ok(
    isSchemaMismatchError(await rejection(jira.projects.getProject({ projectIdOrKey: '10000' })))
  )
})
