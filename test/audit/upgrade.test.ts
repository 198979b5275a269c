import { join } from 'node:path'
import t, { type Test } from 'tap'
import { SMALL_SANDBOX } from '../auth/helper.ts'
import { ensureDatabase, queryDatabase } from '../database.ts'
import { Browser, buildSandboxEnv, buildTestApp, OAUTH_CLIENTS, type TestApp } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { startSandbox } from '../sandbox/helper.ts'
import { removeSignatures, writeLegacyTokens } from './earlier-version.ts'
import { readAuditTrail, runAuditVerify } from './helper.ts'

/** A stopped service with one connected person, and how to start it again. */
async function createStoppedService(t: Test) {
  const sandbox = await startSandbox(t, { clients: OAUTH_CLIENTS, ...SMALL_SANDBOX })
  const url = await ensureDatabase(t, join(createTempFolder(t), 'c.db'))
  const start = async () =>
    await buildTestApp(t, {
      ...buildSandboxEnv(sandbox.url),
      INTEGRATION_DB_URL: url,
      SYNC_INTERVAL: '0'
    })
  const first = await start()
  await new Browser(first.app).connect('jira', '&state=email:ada@example.com')
  await first.app.close()
  return { url, start }
}

const checkConnection = async ({ app }: TestApp) =>
  await app.inject({ method: 'POST', url: '/users/1/connections/jira/check' })
const findEvents = ({ lines }: TestApp, name: string) =>
  lines().filter(({ event }) => event === name)

t.test(
  'An upgrade signs connections and the trail once, and says so in the log and the trail',
  async (t) => {
    const { url, start } = await createStoppedService(t)
    await removeSignatures(url)
    await writeLegacyTokens(url)
    const upgraded = await start()
    t.match(findEvents(upgraded, 'rows_signed'), [{ level: 'warn', connections: 1 }])
    t.equal(findEvents(upgraded, 'audit_damaged').length, 0)
    const trail = await readAuditTrail(upgraded.app)
    t.match(trail.at(-1), {
      action: 'rows_signed',
      actor: { kind: 'service' },
      detail: { connections: 1, rows: trail.length - 1, through: 0 }
    })
    t.match((await checkConnection(upgraded)).json(), { state: 'active' })
    t.match(await queryDatabase(url, 'select access_token from grants'), [
      { access_token: /^v2\./ }
    ])
    t.match(await runAuditVerify(url), { code: 0 })
    await upgraded.app.close()

    const again = await start()
    t.same(findEvents(again, 'rows_signed'), [])
    t.equal((await readAuditTrail(again.app)).length, trail.length)
    t.match((await checkConnection(again)).json(), { state: 'active' })
  }
)

t.test('After an upgrade, the rows of the earlier version cannot be changed', async (t) => {
  const { url, start } = await createStoppedService(t)
  await removeSignatures(url)
  await writeLegacyTokens(url)
  await (await start()).app.close()
  await queryDatabase(url, "update audit set action = 'refreshed' where seq = 1")
  t.match(await runAuditVerify(url), { code: 1, stderr: /Row 1 was edited/ })
})

t.test(
  'T09 T18 A database disguised as one of an earlier version is not signed, and the trail says so',
  async (t) => {
    const { url, start } = await createStoppedService(t)
    await removeSignatures(url)
    const service = await start()
    t.same(findEvents(service, 'rows_signed'), [])
    t.equal(findEvents(service, 'audit_damaged').length, 1)
    t.match((await checkConnection(service)).json(), { code: 'connection_altered' })
    t.match((await readAuditTrail(service.app)).at(-1), { action: 'audit_damaged' })
    t.match(await runAuditVerify(url), { code: 1, stderr: /the end of the trail changed/ })
  }
)

t.test('T18 The disguise does not help if the format of the tokens is changed too', async (t) => {
  const { url, start } = await createStoppedService(t)
  await removeSignatures(url)
  await queryDatabase(
    url,
    "update grants set access_token = replace(access_token, 'v2.', 'v1.'), " +
      "refresh_token = replace(refresh_token, 'v2.', 'v1.')"
  )
  const service = await start()
  t.same(findEvents(service, 'rows_signed'), [])
  t.equal(findEvents(service, 'audit_damaged').length, 1)
  await queryDatabase(
    url,
    "update grants set access_token = replace(access_token, 'v1.', 'v2.'), " +
      "refresh_token = replace(refresh_token, 'v1.', 'v2.')"
  )
  t.match((await checkConnection(service)).json(), { code: 'connection_altered' })
})
