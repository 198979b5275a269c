import { join } from 'node:path'
import t, { type Test } from 'tap'
import { DANA, SAM } from '../../src/sandbox/oauth/users.ts'
import { SMALL_SANDBOX, startTestService, type TestService } from '../auth/helper.ts'
import { ensureDatabase, queryDatabase } from '../database.ts'
import { Browser, VAULT_KEY, waitForRun } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { runCommand } from '../process/command.ts'
import { generateKeyEntry } from '../../src/vault/keyring.ts'
import { HOUR_MS } from '../time.ts'

interface TwoPeople extends TestService {
  url: string
  run: (sql: string, ...values: unknown[]) => Promise<Array<Record<string, any>>>
  /** The number of calls that Atlassian's API got. */
  countCalls: () => Promise<number>
  check: (userId?: number) => Promise<Record<string, any>>
}

/** User 1 has connected as Dana, user 2 as Sam. */
async function connectTwoPeople(t: Test): Promise<TwoPeople> {
  const url = await ensureDatabase(t, join(createTempFolder(t), 'c.db'))
  const service = await startTestService(
    t,
    { INTEGRATION_DB_URL: url, SYNC_INTERVAL: '0' },
    { ...SMALL_SANDBOX, users: [DANA, SAM] }
  )
  await new Browser(service.app).connect('jira', '&state=email:ada@example.com')
  const browser = new Browser(service.app)
  await browser.open(
    await browser.consent('jira', {
      query: '&state=email:sam@example.com',
      extra: '&sandbox_account=sam&sandbox_site=globex'
    })
  )
  for (const run of [1, 2]) await waitForRun(service.app, 'jira', run)
  return {
    ...service,
    url,
    run: async (sql, ...values) => await queryDatabase(url, sql, ...values),
    countCalls: async () => {
      const { log } = (await service.sandbox.admin('stats', undefined, 'GET')) as { log: unknown[] }
      return log.length
    },
    check: async (userId = 1) =>
      (
        await service.app.inject({
          method: 'POST',
          url: `/users/${userId}/connections/jira/check`
        })
      ).json()
  }
}

const MOVED_GRANT =
  'update connections set grant_id = (select grant_id from connections where user_id = 2) where user_id = 1'
const OTHER_SITES = JSON.stringify([
  { cloudId: '22222222-2222-4222-8222-222222222222', name: 'x', url: 'https://x.atlassian.net' }
])

const SIGNED_COLUMNS = ['grant_id', 'sites', 'bound', 'refused', 'state', 'signature']
const TAMPERINGS: Array<[what: string, sql: string, ...values: unknown[]]> = [
  ['the grant', MOVED_GRANT],
  [
    'the grant, with the signature of the row that points to it',
    'update connections set signature = (select signature from connections where user_id = 2), ' +
      'grant_id = (select grant_id from connections where user_id = 2) where user_id = 1'
  ],
  ['the sites', 'update connections set sites = ? where user_id = 1', OTHER_SITES],
  ['the selected sites', 'update connections set bound = ? where user_id = 1', OTHER_SITES],
  ['the state', "update connections set state = 'scope_missing' where user_id = 1"],
  ['the refused features', 'update connections set refused = \'["x"]\' where user_id = 1'],
  ['the signature', "update connections set signature = '' where user_id = 1"]
]

t.test('T09 A connection that somebody changed in the database is not used', async (t) => {
  const { app, run, check, lines, countCalls } = await connectTwoPeople(t)
  const [original] = await run('select * from connections where user_id = 1')
  for (const [what, sql, ...values] of TAMPERINGS) {
    await run(sql, ...values)
    const calls = await countCalls()
    t.match(await check(), { status: 409, code: 'connection_altered' }, what)
    t.equal(await countCalls(), calls, `${what}: Atlassian was not called`)
    const [connection] = (await app.inject('/users/1/connections')).json().connections
    t.match(connection, { state: 'needs_reconnect', sites: [], site: null }, what)
    for (const name of SIGNED_COLUMNS) {
      await run(`update connections set ${name} = ? where user_id = 1`, original?.[name])
    }
    t.match(await check(), { state: 'active' }, `${what}: restored`)
  }
  t.ok(lines().some(({ event, level }) => event === 'connection_altered' && level === 'error'))
})

t.test(
  'T09 A sync of a connection that somebody pointed elsewhere fails without a call',
  async (t) => {
    const { app, run, countCalls } = await connectTwoPeople(t)
    await run(MOVED_GRANT)
    const calls = await countCalls()
    const sync = await app.inject({ method: 'POST', url: '/integrations/jira/sync?owner_id=1' })
    t.match(await waitForRun(app, 'jira', sync.json().id), {
      state: 'failed',
      error: { code: 'connection_altered' }
    })
    t.equal(await countCalls(), calls)
  }
)

t.test('T09 A connection that somebody gave to another user is not used', async (t) => {
  const { run, check, countCalls } = await connectTwoPeople(t)
  await run('delete from connections where user_id = 2')
  await run('update connections set user_id = 2')
  const calls = await countCalls()
  t.match(await check(2), { status: 409, code: 'connection_altered' })
  t.equal(await countCalls(), calls)
})

t.test('A changed row becomes usable by a new consent, and nothing else signs it', async (t) => {
  const { app, run, check, advanceTime } = await connectTwoPeople(t)
  await run(MOVED_GRANT)
  // A refresh and a new consent evaluate every connection of their grant again.
  advanceTime(2 * HOUR_MS)
  t.match(await check(2), { state: 'active' })
  const browser = new Browser(app)
  await browser.open(
    await browser.consent('jira', {
      query: '&state=email:sam@example.com',
      extra: '&sandbox_account=sam&sandbox_site=globex'
    })
  )
  t.match(await check(), { code: 'connection_altered' })
  t.match(
    await app.inject({
      method: 'PUT',
      url: '/users/1/connections/jira/site',
      payload: { cloud_id: '11111111-2222-4333-8444-555555555555' }
    }),
    { statusCode: 409 }
  )
  t.match(
    (await new Browser(app).connect('jira', '&state=email:ada@example.com')).headers.location,
    /status=success/
  )
  t.match(await check(), { state: 'active', account_id: DANA.accountId })
  t.match(await check(2), { state: 'active', account_id: SAM.accountId })
})

t.test('A changed connection can be removed, without the tokens it points to', async (t) => {
  const { app, run, check } = await connectTwoPeople(t)
  await run(MOVED_GRANT)
  const removal = await app.inject({ method: 'DELETE', url: '/users/1/connections/jira' })
  t.ok(removal.statusCode < 300, removal.body)
  t.match(await check(2), { state: 'active' })
})

t.test(
  'Rotating the key signs connections again, except those that somebody has changed; then the old key can go',
  async (t) => {
    const { app, run, url, check } = await connectTwoPeople(t)
    t.match(await check(2), { state: 'active' })
    await app.close()
    await run('update connections set sites = ? where user_id = 1', OTHER_SITES)
    const next = generateKeyEntry('next')
    const env = { INTEGRATION_DB_URL: url }
    t.match(
      await runCommand(['keys', 'list'], { env: { ...env, VAULT_KEYS: next } }),
      { code: 78, stderr: /2 stored grants need it/ },
      'the old key is still needed'
    )
    t.match(
      await runCommand(['keys', 'rotate'], { env: { ...env, VAULT_KEYS: `${next},${VAULT_KEY}` } }),
      { code: 0 }
    )
    t.match(await run('select signature from connections order by user_id'), [
      { signature: /^$/ },
      { signature: /^next\./ }
    ])
    t.match(await runCommand(['keys', 'list'], { env: { ...env, VAULT_KEYS: next } }), { code: 0 })
    t.match(
      await runCommand(['audit', 'verify'], { env: { ...env, VAULT_KEYS: next } }),
      { code: 0 },
      'the trail still verifies'
    )
  }
)
