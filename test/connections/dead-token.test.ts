import t from 'tap'
import { startTestService, type TestService } from '../auth/helper.ts'
import { Browser, waitForRun, type Product } from '../helper.ts'
import type { TestContext } from '../types.ts'

/** What Atlassian answers to a token that it rejects without a 401. */
const SIZES = { projects: 3, issues: 4, spaces: 2, pages: 3 }
const BARE_NOT_FOUND = {
  errors: [{ status: 404, code: 'NOT_FOUND', title: 'Not Found', detail: null }]
}
const EXPIRE_MS = 3_700_000

/** A connection whose first copy has ended. */
async function startConnected(t: TestContext, product: Product = 'jira'): Promise<TestService> {
  const service = await startTestService(t, { SYNC_INTERVAL: '0' }, { sizes: SIZES })
  await new Browser(service.app).connect(product)
  await waitForRun(service.app, product)
  return service
}

async function runSync({ app }: TestService, product: Product = 'jira', mode = 'full') {
  const { id } = (
    await app.inject({ method: 'POST', url: `/integrations/${product}/sync?mode=${mode}` })
  ).json()
  return await waitForRun(app, product, id as number)
}

const setAnswers = async ({ sandbox }: TestService, rules: object) =>
  await sandbox.admin('sites/acme/answers', rules, 'PUT')
const countIssues = async ({ app }: TestService) =>
  (await app.inject('/jira/issues/1')).json().length
const readStats = async ({ sandbox }: TestService) =>
  (await sandbox.admin('stats', undefined, 'GET')) as {
    exchanges: object
    log: Array<{ path: string }>
  }
const countCalls = async (service: TestService, end: string) =>
  (await readStats(service)).log.filter(({ path }) => path.endsWith(end)).length

for (const variant of ['seraph', 'silent']) {
  t.test(`Refreshes a token that Jira answers with 200 and nothing (${variant})`, async (t) => {
    const service = await startConnected(t)
    await setAnswers(service, { dead_token: variant })
    // Only the sandbox's clock: the service believes that its token is valid.
    await service.sandbox.admin('clock', { advance_ms: EXPIRE_MS })
    t.match(await runSync(service), { state: 'succeeded', counts: { removed: 0 } })
    t.match((await readStats(service)).exchanges, { refresh_token: { ok: 1 } })
    t.equal(await countIssues(service), SIZES.issues)
    t.match(
      service.lines().filter(({ event }) => event === 'token_rejected'),
      [{ reason: variant === 'seraph' ? 'login_reason' : 'second_call' }]
    )
  })

  t.test(`Ends in needs_reconnect if the consent was revoked (${variant})`, async (t) => {
    const service = await startConnected(t)
    await setAnswers(service, { dead_token: variant })
    await service.sandbox.admin('revoke', {})
    t.match(await runSync(service), { state: 'failed', error: { code: 'needs_reconnect' } })
    t.equal(await countIssues(service), SIZES.issues)
    const { connections } = (await service.app.inject('/users/1/connections')).json()
    t.match(connections, [{ state: 'needs_reconnect' }])
  })
}

t.test(
  'Treats an answer to another account as a rejected token, and copies none of it',
  async (t) => {
    const service = await startConnected(t)
    await setAnswers(service, { account_header: 'other' })
    t.match(await runSync(service), {
      state: 'failed',
      error: { code: 'needs_reconnect', detail: /^Jira does not accept the tokens/ },
      counts: { seen: 0, removed: 0 }
    })
    t.match((await readStats(service)).exchanges, { refresh_token: { ok: 1 } }, 'refreshed once')
    t.equal(await countIssues(service), SIZES.issues)
  }
)

t.test('Believes empty answers without the account header after one further call', async (t) => {
  const service = await startTestService(
    t,
    { SYNC_INTERVAL: '0' },
    { sizes: { ...SIZES, issues: 0 } }
  )
  await setAnswers(service, { account_header: 'absent' })
  await new Browser(service.app).connect('jira')
  t.match(await waitForRun(service.app, 'jira'), { counts: { seen: SIZES.projects } })
  t.equal(await countCalls(service, '/search/jql'), 1)
  t.equal(await countCalls(service, '/myself'), 1, 'for the count and for the search')
})

t.test('Makes no further call where the header names the account', async (t) => {
  const service = await startConnected(t)
  t.match(await runSync(service, 'jira', 'incremental'), { state: 'succeeded' })
  t.equal(await countCalls(service, '/myself'), 0)
})

t.test('A connection without the scope of /myself asks for its sites instead', async (t) => {
  const service = await startTestService(
    t,
    { SYNC_INTERVAL: '0', JIRA_OAUTH_SCOPES: 'read:jira-work' },
    { sizes: { ...SIZES, issues: 0 } }
  )
  await setAnswers(service, { account_header: 'absent' })
  await new Browser(service.app).connect('jira')
  t.match(await waitForRun(service.app, 'jira'), { counts: { seen: SIZES.projects } })
  t.equal(await countCalls(service, '/oauth/token/accessible-resources'), 2, 'login and check')
})

t.test("Checks the token before it believes Confluence's bare 404", async (t) => {
  const service = await startConnected(t, 'confluence')
  const notFound = { kind: 'status', status: 404, body: BARE_NOT_FOUND }
  await service.sandbox.admin('faults', { ...notFound, match: { path: 'v2/spaces' }, times: 1 })
  await service.sandbox.admin('faults', {
    kind: 'status',
    status: 401,
    body: { code: 401, message: 'Unauthorized' },
    match: { path: 'accessible-resources' },
    times: 1
  })
  t.match(await runSync(service, 'confluence'), { state: 'succeeded' })
  t.match((await readStats(service)).exchanges, { refresh_token: { ok: 1 } })

  t.test('and believes it if the token works', async (t) => {
    await service.sandbox.admin('faults', { ...notFound, match: { path: 'v2/spaces' }, times: 1 })
    t.match(await runSync(service, 'confluence'), {
      state: 'partial',
      failures: [{ collection: 'spaces', code: 'upstream_refused' }]
    })
    t.match((await readStats(service)).exchanges, { refresh_token: { ok: 1 } })
  })
})
