import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { queryDatabase } from '../database.ts'
import { waitFor } from '../helper.ts'
import { BUILD_PATH, startServiceProcess } from '../process/child.ts'
import { createInstallation, followPage } from './commands.ts'
import { checkConnection, connectPerson, getKeyFile, startAtlassian } from './installation.ts'

t.test('An operator of one instance on SQLite follows the pages', async (t) => {
  const cwd = createInstallation(t)
  writeFileSync(getKeyFile(cwd), `k2025:${randomBytes(32).toString('base64')}\n`, { mode: 0o600 })
  const env: NodeJS.ProcessEnv = {
    ...(await startAtlassian(t)),
    VAULT_KEYS_FILE: getKeyFile(cwd),
    INTEGRATION_DB_URL: `sqlite:///${join(cwd, 'integration.db')}`
  }
  const start = async () => await startServiceProcess(t, { main: BUILD_PATH, cwd, env })
  const service = await start()
  await connectPerson(service)
  t.equal(await checkConnection(service.url), 'active')
  const settings = () => ({
    ...env,
    SERVICE_URL: service.url,
    CONNECTOR_URL: service.url
  })

  await t.test('health.md', async (t) => {
    const next = followPage(t, 'health.md', { cwd, env: settings() })
    t.match(await next('readyz'), /"status":"ok".*\n200/s)
    t.equal(next.left(), 0)
  })

  await t.test('install-for-production.md', async (t) => {
    const next = followPage(t, 'install-for-production.md', { cwd, env: settings() })
    t.match(await next('keys create'), /^k\d+-[0-9a-f]+:[\w+/]{43}=$/m)
    t.match(await next('api-keys create'), /ck_\w+/)
    t.equal(next.left(), 0)
  })

  await t.test('look-at-the-fleet.md', async (t) => {
    const next = followPage(t, 'look-at-the-fleet.md', { cwd, env: settings() })
    t.match(await next('connections list'), /Total: 1 active\./)
    t.match(await next('--state needs_reconnect'), /\w/)
    t.match(await next('users list'), /1/)
    await next('runs list')
    t.equal(next.left(), 0)
  })

  await t.test('runbooks.md', async (t) => {
    const next = followPage(t, 'runbooks.md', { cwd, env: settings() })
    t.match(await next('healthz'), /"status":"ok"/)
    await next('connections list')
    t.match(await next('runs list'), /succeeded/)
    t.equal(next.left(), 0)
  })

  await t.test('rotate-a-key.md', async (t) => {
    const next = followPage(t, 'rotate-a-key.md', { cwd, env: settings() })
    t.match(await next('keys add'), /Added the key k2026/)
    service.child.kill('SIGHUP')
    await waitFor(() => service.output().includes('vault_keys_reloaded'))
    t.notMatch(await next('keys list'), /lacked by/)
    t.match(await next('keys promote'), /k2026 encrypts from now on/)
    t.match(await next('keys rotate'), /0 left/)
    await waitFor(async () => {
      const rows = await queryDatabase(env.INTEGRATION_DB_URL ?? '', 'select * from instances')
      return rows.every(({ current_key_id: id }) => id === 'k2026')
    })
    await next('keys remove')
    service.child.kill('SIGHUP')
    await next('keys give-up')
    t.equal(await checkConnection(service.url), 'active')
    t.equal(next.left(), 0)
  })

  await t.test('upgrade.md', async (t) => {
    const next = followPage(t, 'upgrade.md', {
      cwd,
      env: { ...settings(), INSTANCE_URL: service.url }
    })
    t.match(await next('readyz'), /"status":"ok"/)
    t.match(await next('db migrate'), /The tables are up to date\./)
    t.equal(next.left(), 0)
  })

  await t.test('stop.md', async (t) => {
    const next = followPage(t, 'stop.md', { cwd, env: settings() })
    t.match(await next('ulimit'), /\d+|unlimited/)
    t.equal(next.left(), 0)
  })
})
