import { join } from 'node:path'
import t from 'tap'
import { MAX_KEY_USES } from '../../src/vault/vault.ts'
import { countTokenCalls, startTestService } from '../auth/helper.ts'
import { PROTECTED_ENV } from '../access/helper.ts'
import { ensureDatabase, queryDatabase } from '../database.ts'
import { Browser, buildTestApp, VAULT_KEY } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import type { TestContext } from '../types.ts'

const KEY_ID = VAULT_KEY.split(':')[0] ?? ''

async function createSharedDatabase(t: TestContext): Promise<string> {
  return await ensureDatabase(t, join(createTempFolder(t), 'c.db'))
}

async function readUses(url: string): Promise<number> {
  const [row] = await queryDatabase<{ uses: number }>(url, 'select uses from vault_keys')
  return row?.uses ?? NaN
}

t.test('B4 No request without a credential uses the vault key', async (t) => {
  const url = await createSharedDatabase(t)
  const { app } = await buildTestApp(t, {
    APP_ENV: 'production',
    ...PROTECTED_ENV,
    INTEGRATION_DB_URL: url
  })
  const [usesBefore, countBefore] = [await readUses(url), app.vault.getUseCount()]
  const routes = app.listRouteAccess().map(({ method, url }) => ({
    method: method as 'GET',
    url: url.replace(/:\w+/g, '1')
  }))
  t.ok(routes.length > 50)
  for (const route of routes) await app.inject(route)
  for (let i = 0; i < 1_000; i++) await app.inject('/healthz')
  t.equal(app.vault.getUseCount(), countBefore)
  await app.close()
  t.equal(await readUses(url), usesBefore)
})

t.test('E4 /healthz fails if the vault key no longer opens its stored proof', async (t) => {
  const { app } = await buildTestApp(t)
  t.equal((await app.inject('/healthz')).statusCode, 200)
  app.vault.opensProof = () => false
  const answer = await app.inject('/healthz')
  t.equal(answer.statusCode, 503)
  t.match(answer.json(), { checks: { vault_key: 'failed', database: 'ok' } })
})

t.test('B4 The database counts a use before it happens, so a crash loses none', async (t) => {
  const url = await createSharedDatabase(t)
  const { app } = await startTestService(t, { INTEGRATION_DB_URL: url })
  const usesBefore = await readUses(url)
  let usesInDatabase = 0
  const { encrypt } = app.vault
  const pending: Array<Promise<void>> = []
  app.vault.encrypt = (...args) => {
    pending.push(
      readUses(url).then((uses) => {
        usesInDatabase = uses
      })
    )
    return encrypt(...args)
  }
  await new Browser(app).connect('jira')
  await Promise.all(pending)
  t.equal(pending.length, 2)
  t.ok(usesInDatabase >= usesBefore + 2, `${usesInDatabase} counted while the tokens are encrypted`)
  await app.close()
  t.equal(await readUses(url), usesBefore + 2, 'a stop takes back what was counted in advance')
})

t.test('B4 Uses by other instances count: an exhausted key exchanges no code', async (t) => {
  const url = await createSharedDatabase(t)
  const { app, sandbox } = await startTestService(t, { INTEGRATION_DB_URL: url })
  await queryDatabase(url, 'update vault_keys set uses = ?', MAX_KEY_USES)
  const calls = await countTokenCalls(sandbox)
  const { headers } = await new Browser(app).connect('jira')
  t.match(headers.location, /status=error&error=vault_key_exhausted&/)
  t.equal(await countTokenCalls(sandbox), calls)
})

t.test('B4 GET /limits shows the uses of each key, and the log warns near the limit', async (t) => {
  const url = await createSharedDatabase(t)
  const { app, lines } = await startTestService(t, { INTEGRATION_DB_URL: url })
  const readLimits = async () => (await app.inject('/limits')).json().vault_keys
  t.same(await readLimits(), [{ id: KEY_ID, current: true, uses: 2, max_uses: 2 ** 30 }])
  const nearlyExhausted = Math.round(MAX_KEY_USES * 0.95)
  await queryDatabase(url, 'update vault_keys set uses = ?', nearlyExhausted)
  await new Browser(app).connect('jira')
  const [{ uses }] = await readLimits()
  t.ok(uses > nearlyExhausted)
  t.equal(lines().filter(({ event }) => event === 'vault_key_nearly_exhausted').length, 1)
})
