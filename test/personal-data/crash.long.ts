import { join } from 'node:path'
import t from 'tap'
import { SMALL_SANDBOX } from '../auth/helper.ts'
import { ensureDatabase, queryDatabase } from '../database.ts'
import {
  Browser,
  buildTestApp,
  OAUTH_CLIENTS,
  buildSandboxEnv,
  VAULT_KEY,
  waitForRun,
  waitFor
} from '../helper.ts'
import { createTempFolder, startServiceProcess } from '../process/child.ts'
import { startSandbox } from '../sandbox/helper.ts'

const REPORT_SCOPE = 'report:personal-data'

t.test(
  'A process killed during a report resumes without reporting an account twice or missing one',
  { timeout: 120_000 },
  async (t) => {
    const sandbox = await startSandbox(t, {
      ...SMALL_SANDBOX,
      clients: OAUTH_CLIENTS.map((client) => ({
        ...client,
        scopes: [...client.scopes, REPORT_SCOPE]
      }))
    })
    const env = {
      ...buildSandboxEnv(sandbox.url),
      PERSONAL_DATA_REPORTING: 'true',
      INTEGRATION_DB_URL: await ensureDatabase(t, join(createTempFolder(t), 'killed.db')),
      VAULT_KEYS: VAULT_KEY,
      SYNC_INTERVAL: '0'
    }
    const { app } = await buildTestApp(t, env)
    await new Browser(app).connect('jira')
    await waitForRun(app, 'jira')
    await app.close()
    await queryDatabase(
      env.INTEGRATION_DB_URL,
      `with recursive n(i) as (select 1 union all select i + 1 from n where i < 200)
    insert into grants (id, client_id, account_id, scopes, state,
      access_token, access_expires_at, consented_at, failures, version)
    select 'x' || i, 'jira-app', 'account-' || i, '', 'needs_reconnect', '', 0, 0, 0, 1 from n`
    )
    const reportedAccounts: string[] = []
    const { accounts } = sandbox.state
    const get = accounts.get.bind(accounts)
    accounts.get = (id) => {
      reportedAccounts.push(id)
      return get(id)
    }
    await sandbox.admin('faults', {
      kind: 'hang',
      match: { path: 'report-accounts' },
      skip: 1,
      times: 1
    })
    const first = await startServiceProcess(t, { env })
    await waitFor(() => sandbox.state.stats.snapshot().calls['fault hang'] === 1, 20_000)
    await first.stop('SIGKILL')
    t.equal(reportedAccounts.length, 90)
    const second = await startServiceProcess(t, { env })
    const since = performance.now()
    await waitFor(() => reportedAccounts.length >= 201, 60_000)
    t.comment(`it resumed after ${((performance.now() - since) / 1_000).toFixed()} s`)
    await waitFor(
      () => (second.output().match(/personal_data_reported/g) ?? []).length === 2,
      10_000
    )
    t.equal(reportedAccounts.length, 201)
    t.equal(new Set(reportedAccounts).size, 201)
  }
)
