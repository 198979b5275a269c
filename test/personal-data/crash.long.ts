import { join } from 'node:path'
import t from 'tap'
import { SMALL } from '../auth/helper.ts'
import { databaseAt, rowsOf } from '../database.ts'
import { Browser, build, CLIENTS, configured, KEY, synced, until } from '../helper.ts'
import { folder, start } from '../process/child.ts'
import { startSandbox } from '../sandbox/helper.ts'

const SCOPE = 'report:personal-data'

t.test(
  'A process that is killed in the middle of a report tells of nobody twice when it is back, and leaves nobody out',
  { timeout: 120_000 },
  async (t) => {
    const sandbox = await startSandbox(t, {
      ...SMALL,
      clients: CLIENTS.map((client) => ({ ...client, scopes: [...client.scopes, SCOPE] }))
    })
    const env = {
      ...configured(sandbox.url),
      PERSONAL_DATA_REPORTING: 'true',
      INTEGRATION_DB_URL: await databaseAt(t, join(folder(t), 'killed.db')),
      VAULT_KEYS: KEY,
      SYNC_INTERVAL: '0'
    }
    const { app } = await build(t, env)
    await new Browser(app).connect('jira')
    await synced(app, 'jira')
    await app.close()
    await rowsOf(
      env.INTEGRATION_DB_URL,
      `with recursive n(i) as (select 1 union all select i + 1 from n where i < 200)
    insert into grants (id, client_id, account_id, scopes, state, access_token, access_expires_at, consented_at, failures, version)
    select 'x' || i, 'jira-app', 'account-' || i, '', 'needs_reconnect', '', 0, 0, 0, 1 from n`
    )
    const told: string[] = []
    const { accounts } = sandbox.world
    const get = accounts.get.bind(accounts)
    accounts.get = (id) => {
      told.push(id)
      return get(id)
    }
    await sandbox.admin('faults', {
      kind: 'hang',
      match: { path: 'report-accounts' },
      skip: 1,
      times: 1
    })
    const first = await start(t, { env })
    await until(() => sandbox.world.stats.read().calls['fault hang'] === 1, 20_000)
    await first.stop('SIGKILL')
    t.equal(told.length, 90)
    const second = await start(t, { env })
    const since = performance.now()
    await until(() => told.length >= 201, 60_000)
    t.comment(`it went on after ${((performance.now() - since) / 1_000).toFixed()} s`)
    await until(() => (second.output().match(/personal_data_reported/g) ?? []).length === 2, 10_000)
    t.equal(told.length, 201)
    t.equal(new Set(told).size, 201)
  }
)
