import { join } from 'node:path'
import t, { type Test } from 'tap'
import { generateKeyEntry } from '../../src/vault/keyring.ts'
import { requestLogin, startTestService, SMALL_SANDBOX } from '../auth/helper.ts'
import { readDatabaseContents, ensureDatabase, queryDatabase } from '../database.ts'
import {
  Browser,
  buildTestApp,
  OAUTH_CLIENTS,
  buildSandboxEnv,
  VAULT_KEY,
  waitForRun,
  type TestApp
} from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { postWithToken, signIn, startSandbox } from '../sandbox/helper.ts'
import { DAY_MS } from '../time.ts'
import { getPersonalDataReporter } from '../jobs.ts'

const REPORT_SCOPE = 'report:personal-data'
const REPORTING_ENV = { PERSONAL_DATA_REPORTING: 'true' }
const REPORT_ENDPOINT = { path: 'report-accounts' }
const REPORTING_SANDBOX = {
  ...SMALL_SANDBOX,
  clients: OAUTH_CLIENTS.map((client) => ({ ...client, scopes: [...client.scopes, REPORT_SCOPE] }))
}
const filterEvents = ({ lines }: TestApp, name: string) =>
  lines().filter(({ event }) => event === name)
const listConnections = async ({ app }: TestApp, user: number) =>
  (await app.inject(`/users/${user}/connections`)).json().connections as unknown[]

/** Connects Dana and Sam to Jira; returns the service and the accounts reported to the sandbox. */
async function connectTwoAccounts(
  t: Test,
  {
    env = REPORTING_ENV as NodeJS.ProcessEnv,
    sandbox = REPORTING_SANDBOX,
    more: extraGrants = 0
  } = {}
) {
  const url = await ensureDatabase(t, join(createTempFolder(t), 'report.db'))
  const running = await startTestService(t, { INTEGRATION_DB_URL: url, ...env }, sandbox)
  for (const [i, account] of ['dana', 'sam'].entries()) {
    const browser = new Browser(running.app)
    await browser.open(
      await browser.consent('jira', {
        query: `&state=email:${account}@example.com`,
        extra: `&sandbox_account=${account}`
      })
    )
    await waitForRun(running.app, 'jira', i + 1)
  }
  for (let i = 0; i < extraGrants; i++) {
    await queryDatabase(
      url,
      `insert into grants (id, client_id, account_id, scopes, state,
         access_token, access_expires_at, consented_at, failures, version)
      values ('x${i}', 'jira-app', 'account-${i}', '', 'needs_reconnect', '', 0, 0, 0, 1)`
    )
  }
  const { state } = running.sandbox
  const reportedAccounts: string[] = []
  const get = state.accounts.get.bind(state.accounts)
  state.accounts.get = (id) => {
    reportedAccounts.push(id)
    return get(id)
  }
  const [dana, sam] = state.users.map(({ accountId }) => accountId) as [string, string]
  return {
    ...running,
    url,
    reportedAccounts,
    dana,
    sam,
    runReport: async () => {
      await getPersonalDataReporter(running.app).runNow()
    }
  }
}

t.test('Logins request the reporting scope only if reporting is enabled', async (t) => {
  for (const [env, asks] of [
    [{}, false],
    [REPORTING_ENV, true]
  ] as const) {
    const running = await startTestService(t, env)
    const scope = new URL((await requestLogin(running, 'jira')).json().url as string).searchParams
      .get('scope')
      ?.split(' ')
    t.equal(scope?.includes(REPORT_SCOPE), asks)
  }
})

t.test('Reports each account once per cycle, in batches of 90', async (t) => {
  const running = await connectTwoAccounts(t, { more: 200 })
  const {
    reportedAccounts,
    runReport,
    sandbox: { state }
  } = running
  await runReport()
  t.equal(reportedAccounts.length, 202)
  t.equal(new Set(reportedAccounts).size, 202)
  t.same(
    filterEvents(running, 'personal_data_reported').map(({ accounts }) => accounts),
    [90, 90, 22]
  )
  running.advanceTime(6 * DAY_MS)
  await runReport()
  t.equal(reportedAccounts.length, 202, 'not again within the cycle')
  running.advanceTime(1.1 * DAY_MS)
  await runReport()
  t.equal(reportedAccounts.length, 404)
  t.equal(new Set(reportedAccounts).size, 202)
  t.equal(state.stats.snapshot().calls['POST /app/report-accounts/'], 6)
})

t.test(
  'B13 Erases the connection, tokens, copies and id of a closed account, and of no other account',
  async (t) => {
    const running = await connectTwoAccounts(t)
    const { url, dana, sam, runReport, sandbox, app } = running
    t.ok((await readDatabaseContents(url)).includes(dana))
    await sandbox.admin('account', { account_id: 'dana', status: 'closed' })
    await runReport()
    t.notOk((await readDatabaseContents(url)).includes(dana), 'no byte of the file contains its id')
    t.ok((await readDatabaseContents(url)).includes(sam))
    t.same(await listConnections(running, 1), [])
    t.same((await app.inject('/jira/projects/1')).json(), [])
    t.equal((await listConnections(running, 2)).length, 1)
    t.equal((await app.inject('/jira/projects/2')).json().length, 1)
    t.match((await app.inject('/audit?user_id=1&limit=2')).json(), [
      { action: 'disconnected', actor: { kind: 'service' } },
      { action: 'account_closed', product: 'jira' }
    ])
    t.match(filterEvents(running, 'personal_data_reported'), [
      { accounts: 2, closed: 1, updated: 0 }
    ])
  }
)

t.test('Reads everything again in the next sync after a profile changed', async (t) => {
  const running = await connectTwoAccounts(t)
  running.advanceTime(1_000)
  await running.sandbox.admin('account', { account_id: 'sam', status: 'updated' })
  await running.runReport()
  const runs = async (user: number) => {
    const { id } = (
      await running.app.inject({
        method: 'POST',
        url: `/integrations/jira/sync?owner_id=${user}`
      })
    ).json()
    return (await waitForRun(running.app, 'jira', id as number)).counts.seen as number
  }
  t.match(filterEvents(running, 'personal_data_reported'), [{ closed: 0, updated: 1 }])
  t.ok((await runs(2)) >= 2, 'project and issue')
  t.equal((await listConnections(running, 2)).length, 1)
})

t.test('Logs once that no connection may report, and resumes when one may', async (t) => {
  const running = await connectTwoAccounts(t, { env: {} })
  const { app, sandbox, url, runReport, reportedAccounts } = running
  for (let hour = 0; hour < 3; hour++) {
    await runReport()
    running.advanceTime(3_700_000)
  }
  t.equal(reportedAccounts.length, 0)
  t.equal(filterEvents(running, 'privacy_report_not_permitted').length, 1)
  await app.close()
  const now = () => sandbox.state.now()
  const again = await buildTestApp(
    t,
    { ...buildSandboxEnv(sandbox.url), ...REPORTING_ENV, INTEGRATION_DB_URL: url },
    now
  )
  const browser = new Browser(again.app)
  await browser.open(
    await browser.consent('jira', {
      query: '&state=email:sam@example.com',
      extra: '&sandbox_account=sam'
    })
  )
  await getPersonalDataReporter(again.app).runNow()
  t.equal(reportedAccounts.length, 2)
})

for (const [title, fault, waitMs] of [
  [
    '429 with Retry-After',
    { kind: 'status', status: 429, headers: { 'retry-after': '120' } },
    121_000
  ],
  ['400', { kind: 'status', status: 400 }, 3_601_000],
  ['500', { kind: 'status', status: 500 }, 3_601_000],
  ['a dropped connection', { kind: 'drop-after' }, 3_601_000],
  ['no JSON', { kind: 'garbage' }, 3_601_000]
] as const) {
  t.test(
    `${title} during a cycle delays it as long as requested, then it resumes where it stopped`,
    async (t) => {
      const running = await connectTwoAccounts(t, { more: 150 })
      const { reportedAccounts, runReport, sandbox } = running
      await sandbox.admin('faults', { ...fault, match: REPORT_ENDPOINT, skip: 1, times: 1 })
      await runReport()
      const after = reportedAccounts.length
      t.equal(filterEvents(running, 'personal_data_reported').length, 1)
      running.advanceTime(waitMs - 60_000)
      await runReport()
      t.equal(reportedAccounts.length, after, 'no report before that time')
      running.advanceTime(60_000)
      await runReport()
      t.equal(new Set(reportedAccounts).size, 152)
      t.equal(
        filterEvents(running, 'personal_data_reported').reduce(
          (sum, { accounts }) => sum + (accounts as number),
          0
        ),
        152,
        'reported accounts are not reported again'
      )
    }
  )
}

t.test('Two instances report each account once', async (t) => {
  const running = await connectTwoAccounts(t, { more: 200 })
  const { url, sandbox, reportedAccounts, runReport } = running
  const other = await buildTestApp(t, {
    ...buildSandboxEnv(sandbox.url),
    ...REPORTING_ENV,
    INTEGRATION_DB_URL: url
  })
  await sandbox.admin('faults', { kind: 'delay', delay_ms: 50, match: REPORT_ENDPOINT, times: 10 })
  await Promise.all([
    runReport(),
    getPersonalDataReporter(other.app).runNow(),
    runReport(),
    getPersonalDataReporter(other.app).runNow()
  ])
  await Promise.all([runReport(), getPersonalDataReporter(other.app).runNow()])
  t.equal(reportedAccounts.length, 202)
  t.equal(new Set(reportedAccounts).size, 202)
})

t.test('An instance that lacks the current vault key leaves the reports to others', async (t) => {
  const { app, sandbox, url, reportedAccounts } = await connectTwoAccounts(t)
  await app.close()
  const open = async (keys: string) =>
    await buildTestApp(t, {
      ...buildSandboxEnv(sandbox.url),
      ...REPORTING_ENV,
      INTEGRATION_DB_URL: url,
      VAULT_KEYS: keys
    })
  // A new key in the first place becomes the current one, and stays it if a command chose it.
  await (await open(`${generateKeyEntry('k2')},${VAULT_KEY}`)).app.close()
  await queryDatabase(url, "update vault_keys set promoted_by = 'command' where id = 'k2'")
  const lacking = await open(VAULT_KEY)
  await getPersonalDataReporter(lacking.app).runNow()
  t.same(reportedAccounts, [])
  t.same(filterEvents(lacking, 'privacy_report_deferred'), [])
})

t.test(
  'The sandbox accepts 1 to 90 accounts from an authorized app, and returns the closed and changed ones',
  async (t) => {
    const sandbox = await startSandbox(t)
    const now = new Date().toISOString()
    const send = async (accounts: unknown, scope = `read:me ${REPORT_SCOPE}`) =>
      await postWithToken(
        `${sandbox.url}/app/report-accounts/`,
        (await signIn(sandbox.url, { scope })).access_token,
        { accounts }
      )
    const many = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ accountId: `a${i}`, updatedAt: now }))
    for (const wrong of [
      undefined,
      [],
      many(91),
      [{ accountId: 'a' }],
      [{ updatedAt: now }],
      [null]
    ]) {
      t.equal((await send(wrong)).status, 400)
    }
    const fine = await send(many(90))
    t.equal(fine.status, 204)
    t.equal(fine.headers.get('cycle-period'), '7')
    t.equal((await send(many(1), 'read:me')).status, 403)
    t.equal((await postWithToken(`${sandbox.url}/app/report-accounts/`, 'x', {})).status, 401)
    await sandbox.admin('account', { account_id: 'sam', status: 'closed' })
    const sam = sandbox.state.users[1]?.accountId
    t.same((await send([{ accountId: sam, updatedAt: now }, ...many(1)])).body, {
      accounts: [{ accountId: sam, status: 'closed' }]
    })
  }
)
