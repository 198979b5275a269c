import { writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import t from 'tap'
import { startDatabaseServer } from '../multi-instance/helper.ts'
import { BUILD_PATH, startServiceProcess, type ServiceProcess } from '../process/child.ts'
import { createInstallation, followPage } from './commands.ts'
import { checkConnection, connectPerson, getKeyFile, startAtlassian } from './installation.ts'

t.test(
  'An operator moves to two instances on PostgreSQL, and restarts and restores them',
  async (t) => {
    const cwd = createInstallation(t)
    writeFileSync(getKeyFile(cwd), `k2025:${randomBytes(32).toString('base64')}\n`, { mode: 0o600 })
    const server = await startDatabaseServer(t)
    const url = await server.createDatabase('connector')
    const base: NodeJS.ProcessEnv = {
      ...(await startAtlassian(t)),
      VAULT_KEYS_FILE: getKeyFile(cwd),
      INTEGRATION_DB_URL: `sqlite:///${join(cwd, 'integration.db')}`
    }
    const single = await startServiceProcess(t, { main: BUILD_PATH, cwd, env: base })
    await connectPerson(single)
    t.equal(await checkConnection(single.url), 'active')
    const env = { ...base, INTEGRATION_DB_URL: url, DB_REQUIRE_DURABLE: 'false' }
    const start = async (port = '0') =>
      await startServiceProcess(t, { main: BUILD_PATH, cwd, env: { ...env, PORT: port } })
    const port = new URL(single.url).port
    const instances: ServiceProcess[] = []

    await t.test('add-an-instance.md', async (t) => {
      const next = followPage(t, 'add-an-instance.md', {
        cwd,
        env: { ...base, POSTGRES_URL: url, INSTANCE_URL: single.url, SERVICE_URL: single.url }
      })
      t.equal(await single.stop(), 0)
      t.match(await next('db copy'), /counts and checksums are equal/)
      instances.push(await start(port), await start())
      t.match(await next('readyz'), /"status":"ok"/)
      t.match(await next('readyz'), /"status":"ok"/)
      for (const instance of instances) t.equal(await checkConnection(instance.url), 'active')
      t.equal(next.left(), 0)
    })

    await t.test('rolling-restart.md', async (t) => {
      const next = followPage(t, 'rolling-restart.md', { cwd, env: { INSTANCE_URL: single.url } })
      t.equal(await instances[0]?.stop(), 0)
      instances[0] = await start(port)
      t.match(await next('readyz'), /"status":"ok"/)
      await next('sleep')
      t.equal(await checkConnection(instances[0].url), 'active')
      t.equal(next.left(), 0)
    })
  }
)
