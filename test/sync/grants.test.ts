import t from 'tap'
import { generateKeyEntry } from '../../src/vault/keyring.ts'
import { ensureDatabase } from '../database.ts'
import { waitForFaultHit } from '../grants/helper.ts'
import {
  Browser,
  buildTestApp,
  buildSandboxEnv,
  buildAppWithSandbox,
  waitForRun,
  type TestApp
} from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { HOUR_MS } from '../time.ts'

const requestSync = async ({ app }: TestApp, product = 'jira') =>
  await app.inject({ method: 'POST', url: `/integrations/${product}/sync` })
const isConnected = async ({ app }: TestApp) =>
  (await app.inject({ method: 'POST', url: '/integrations/jira/connect' })).json()
    .connected as boolean

t.test('Retries a refresh with a lost response at once, and the consent stays valid', async (t) => {
  let clock = Date.now()
  const service = await buildAppWithSandbox(t, { now: () => clock })
  await new Browser(service.app).connect('jira')
  await waitForRun(service.app, 'jira')
  for (const [run, minutes] of [
    [2, 60],
    [3, 71]
  ] as const) {
    clock += minutes * 60_000
    await service.sandbox.admin('faults', {
      kind: 'drop-after',
      match: { path: '/oauth/token', method: 'POST' },
      times: 1
    })
    await requestSync(service)
    t.match(await waitForRun(service.app, 'jira', run), { state: 'succeeded' })
  }
  t.match(await service.sandbox.admin('stats', undefined, 'GET'), { family_revocations: 0 })
})

t.test('Reports `connected` correctly after a revoked and after a new consent', async (t) => {
  let clock = Date.now()
  const service = await buildAppWithSandbox(t, { now: () => clock })
  t.equal(await isConnected(service), false)
  await new Browser(service.app).connect('jira')
  await waitForRun(service.app, 'jira')
  t.equal(await isConnected(service), true)
  await service.sandbox.admin('revoke', {})
  clock += HOUR_MS
  await requestSync(service)
  t.match(await waitForRun(service.app, 'jira', 2), { error: { code: 'needs_reconnect' } })
  t.equal(await isConnected(service), false)
  await new Browser(service.app).connect('jira')
  await waitForRun(service.app, 'jira', 3)
  t.equal(await isConnected(service), true)
})

t.test(
  'A consent given while the old one is refused wins, and the user need not reconnect',
  async (t) => {
    let clock = Date.now()
    const service = await buildAppWithSandbox(t, { now: () => clock })
    const browser = new Browser(service.app)
    await browser.connect('jira')
    await waitForRun(service.app, 'jira')
    await service.sandbox.admin('revoke', {})
    clock += HOUR_MS
    // Delays the refusal; the new consent arrives in the meantime.
    await service.sandbox.admin('faults', {
      kind: 'delay',
      delay_ms: 3_000,
      match: { path: '/oauth/token', method: 'POST' },
      times: 1
    })
    await requestSync(service)
    await waitForFaultHit(service.sandbox)
    await browser.connect('jira')
    t.match(await waitForRun(service.app, 'jira', 2), { state: 'succeeded' })
    t.equal(await isConnected(service), true)
  }
)

t.test('B7 Refuses to start when the keys do not decrypt the stored tokens', async (t) => {
  const url = await ensureDatabase(t, `${createTempFolder(t)}/kept.db`)
  const first = await buildAppWithSandbox(t, { env: { INTEGRATION_DB_URL: url } })
  await new Browser(first.app).connect('jira')
  await waitForRun(first.app, 'jira')
  await first.app.close()
  await t.rejects(
    buildTestApp(t, {
      ...buildSandboxEnv(first.sandbox.url),
      INTEGRATION_DB_URL: url,
      VAULT_KEYS: generateKeyEntry('other')
    }),
    {
      name: 'StartError',
      exitCode: 78,
      message:
        /^VAULT_KEYS lacks the key "test", and 1 stored grant needs it\..*connector keys rotate/
    }
  )
})

t.test('Deletes the tokens of an account without connections', async (t) => {
  const service = await buildAppWithSandbox(t)
  const browser = new Browser(service.app)
  await browser.open(await browser.consent('jira', { extra: '&sandbox_account=dana' }))
  const danas = (await service.app.store.connections.get(1, 'jira'))?.grant
  await browser.open(
    await browser.consent('jira', { query: '&change_account=true', extra: '&sandbox_account=sam' })
  )
  const sams = (await service.app.store.connections.get(1, 'jira'))?.grant
  t.not(danas?.id, sams?.id)
  t.equal(await service.app.store.grants.get(danas?.id ?? ''), undefined)
  t.match(sams, { state: 'active' })
  await waitForRun(service.app, 'jira')
})

t.test('A sync request accepts only an empty body', async (t) => {
  const service = await buildAppWithSandbox(t)
  await new Browser(service.app).connect('jira')
  await waitForRun(service.app, 'jira')
  const answer = await service.app.inject({
    method: 'POST',
    url: '/integrations/jira/sync',
    payload: { mode: 'full' }
  })
  t.match(answer.json(), { status: 422, errors: [{ pointer: '/mode', detail: 'Unknown field.' }] })
  t.equal(
    (await service.app.inject({ method: 'POST', url: '/integrations/jira/sync', payload: {} }))
      .statusCode,
    202
  )
  await waitForRun(service.app, 'jira', 2)
})
