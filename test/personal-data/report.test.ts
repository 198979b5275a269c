import { join } from 'node:path'
import t, { type Test } from 'tap'
import { login, service, SMALL } from '../auth/helper.ts'
import { contentsOf, databaseAt, rowsOf } from '../database.ts'
import { Browser, build, CLIENTS, configured, synced, type Built } from '../helper.ts'
import { folder } from '../process/child.ts'
import { post, signIn, startSandbox } from '../sandbox/helper.ts'

const SCOPE = 'report:personal-data'
const ON = { PERSONAL_DATA_REPORTING: 'true' }
const DAY_MS = 86_400_000
const REPORTS = { path: 'report-accounts' }
const ALLOWED = {
  ...SMALL,
  clients: CLIENTS.map((client) => ({ ...client, scopes: [...client.scopes, SCOPE] }))
}
const events = ({ lines }: Built, name: string) => lines().filter(({ event }) => event === name)
const connections = async ({ app }: Built, user: number) =>
  (await app.inject(`/users/${user}/connections`)).json().connections as unknown[]

/** Dana and Sam, connected with Jira, and the accounts that the sandbox is told of. */
async function settled(
  t: Test,
  { env = ON as NodeJS.ProcessEnv, sandbox = ALLOWED, more = 0 } = {}
) {
  const url = await databaseAt(t, join(folder(t), 'report.db'))
  const running = await service(t, { INTEGRATION_DB_URL: url, ...env }, sandbox)
  for (const [i, account] of ['dana', 'sam'].entries()) {
    const browser = new Browser(running.app)
    await browser.open(
      await browser.consent('jira', {
        query: `&state=email:${account}@example.com`,
        extra: `&sandbox_account=${account}`
      })
    )
    await synced(running.app, 'jira', i + 1)
  }
  for (let i = 0; i < more; i++) {
    await rowsOf(
      url,
      `insert into grants (id, client_id, account_id, scopes, state, access_token, access_expires_at, consented_at, failures, version)
      values ('x${i}', 'jira-app', 'account-${i}', '', 'needs_reconnect', '', 0, 0, 0, 1)`
    )
  }
  const { world } = running.sandbox
  const told: string[] = []
  const get = world.accounts.get.bind(world.accounts)
  world.accounts.get = (id) => {
    told.push(id)
    return get(id)
  }
  const [dana, sam] = world.users.map(({ accountId }) => accountId) as [string, string]
  return {
    ...running,
    url,
    told,
    dana,
    sam,
    report: async () => {
      await running.app.personalData.once()
    }
  }
}

t.test('Logins ask for the right to report accounts only where the setting is on', async (t) => {
  for (const [env, asks] of [
    [{}, false],
    [ON, true]
  ] as const) {
    const running = await service(t, env)
    const scope = new URL((await login(running, 'jira')).json().url as string).searchParams
      .get('scope')
      ?.split(' ')
    t.equal(scope?.includes(SCOPE), asks)
  }
})

t.test('Each account is told of once in a cycle, 90 at a time', async (t) => {
  const running = await settled(t, { more: 200 })
  const {
    told,
    report,
    sandbox: { world }
  } = running
  await report()
  t.equal(told.length, 202)
  t.equal(new Set(told).size, 202)
  t.same(
    events(running, 'personal_data_reported').map(({ accounts }) => accounts),
    [90, 90, 22]
  )
  running.pass(6 * DAY_MS)
  await report()
  t.equal(told.length, 202, 'not again within the cycle')
  running.pass(1.1 * DAY_MS)
  await report()
  t.equal(told.length, 404)
  t.equal(new Set(told).size, 202)
  t.equal(world.stats.read().calls['POST /app/report-accounts/'], 6)
})

t.test(
  'B13 An account that was closed is erased: its connection, tokens, copies and id; everybody else stays',
  async (t) => {
    const running = await settled(t)
    const { url, dana, sam, report, sandbox, app } = running
    t.ok((await contentsOf(url)).includes(dana))
    await sandbox.admin('account', { account_id: 'dana', status: 'closed' })
    await report()
    t.notOk((await contentsOf(url)).includes(dana), 'its id is in no byte')
    t.ok((await contentsOf(url)).includes(sam))
    t.same(await connections(running, 1), [])
    t.same((await app.inject('/jira/projects/1')).json(), [])
    t.equal((await connections(running, 2)).length, 1)
    t.equal((await app.inject('/jira/projects/2')).json().length, 1)
    t.match((await app.inject('/audit?user_id=1&limit=2')).json(), [
      { action: 'disconnected', actor: { kind: 'service' } },
      { action: 'account_closed', product: 'jira' }
    ])
    t.match(events(running, 'personal_data_reported'), [{ accounts: 2, closed: 1, updated: 0 }])
  }
)

t.test(
  'Of an account whose profile was changed everything is read anew with the next copy',
  async (t) => {
    const running = await settled(t)
    running.pass(1_000)
    await running.sandbox.admin('account', { account_id: 'sam', status: 'updated' })
    await running.report()
    const runs = async (user: number) => {
      const { id } = (
        await running.app.inject({
          method: 'POST',
          url: `/integrations/jira/sync?owner_id=${user}`
        })
      ).json()
      return (await synced(running.app, 'jira', id as number)).counts.seen as number
    }
    t.match(events(running, 'personal_data_reported'), [{ closed: 0, updated: 1 }])
    t.ok((await runs(2)) >= 2, 'project and issue')
    t.equal((await connections(running, 2)).length, 1)
  }
)

t.test(
  'Where no connection may report, that is said once, and it goes on once one may',
  async (t) => {
    const running = await settled(t, { env: {} })
    const { app, sandbox, url, report, told } = running
    for (let hour = 0; hour < 3; hour++) {
      await report()
      running.pass(3_700_000)
    }
    t.equal(told.length, 0)
    t.equal(events(running, 'privacy_report_not_permitted').length, 1)
    await app.close()
    const now = () => sandbox.world.now()
    const again = await build(
      t,
      { ...configured(sandbox.url), ...ON, INTEGRATION_DB_URL: url },
      now
    )
    const browser = new Browser(again.app)
    await browser.open(
      await browser.consent('jira', {
        query: '&state=email:sam@example.com',
        extra: '&sandbox_account=sam'
      })
    )
    await again.app.personalData.once()
    t.equal(told.length, 2)
  }
)

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
    `${title} in the middle of a cycle waits as long as it should, and goes on where it was`,
    async (t) => {
      const running = await settled(t, { more: 150 })
      const { told, report, sandbox } = running
      await sandbox.admin('faults', { ...fault, match: REPORTS, skip: 1, times: 1 })
      await report()
      const after = told.length
      t.equal(events(running, 'personal_data_reported').length, 1)
      running.pass(waitMs - 60_000)
      await report()
      t.equal(told.length, after, 'nobody asks before')
      running.pass(60_000)
      await report()
      t.equal(new Set(told).size, 152)
      t.equal(
        events(running, 'personal_data_reported').reduce(
          (sum, { accounts }) => sum + (accounts as number),
          0
        ),
        152,
        'those that had been told of are not told of again'
      )
    }
  )
}

t.test('Two instances tell of each account once', async (t) => {
  const running = await settled(t, { more: 200 })
  const { url, sandbox, told, report } = running
  const other = await build(t, { ...configured(sandbox.url), ...ON, INTEGRATION_DB_URL: url })
  await sandbox.admin('faults', { kind: 'delay', delay_ms: 50, match: REPORTS, times: 10 })
  await Promise.all([
    report(),
    other.app.personalData.once(),
    report(),
    other.app.personalData.once()
  ])
  await Promise.all([report(), other.app.personalData.once()])
  t.equal(told.length, 202)
  t.equal(new Set(told).size, 202)
})

t.test(
  'The sandbox takes 1 to 90 accounts of an app that may report, and says which were closed or changed',
  async (t) => {
    const sandbox = await startSandbox(t)
    const now = new Date().toISOString()
    const send = async (accounts: unknown, scope = `read:me ${SCOPE}`) =>
      await post(
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
    t.equal((await post(`${sandbox.url}/app/report-accounts/`, 'x', {})).status, 401)
    await sandbox.admin('account', { account_id: 'sam', status: 'closed' })
    const sam = sandbox.world.users[1]?.accountId
    t.same((await send([{ accountId: sam, updatedAt: now }, ...many(1)])).body, {
      accounts: [{ accountId: sam, status: 'closed' }]
    })
  }
)
