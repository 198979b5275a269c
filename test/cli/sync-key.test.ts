import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createApiKey, PROTECTED_ENV } from '../access/helper.ts'
import { startSyncedService } from '../api/synced-service.ts'
import { ensureDatabase } from '../database.ts'
import { buildSandboxEnv, buildTestApp } from '../helper.ts'
import { startListening } from '../network.ts'
import { createTempFolder } from '../process/child.ts'
import { runCommand } from '../process/command.ts'

t.test('A protected service needs an API key, which the command never prints', async (t) => {
  const cwd = createTempFolder(t)
  const url = await ensureDatabase(t, join(cwd, 'c.db'))
  const open = await startSyncedService(t, ['jira'], {
    env: { INTEGRATION_DB_URL: url },
    sandbox: { sizes: { projects: 3, issues: 5 } }
  })
  await open.app.close()
  const { app } = await buildTestApp(t, {
    ...buildSandboxEnv(open.sandbox.url),
    INTEGRATION_DB_URL: url,
    APP_ENV: 'production',
    ...PROTECTED_ENV
  })
  const base = await startListening(app)
  const { secret: key } = await createApiKey(app, ['sync:read', 'sync:write'])
  const { secret: reader } = await createApiKey(app, ['sync:read'])
  const { secret: other } = await createApiKey(app, ['data:read'])

  const sync = async (args: string[], env: NodeJS.ProcessEnv = {}) => {
    const output = await runCommand(['sync', '--product', 'jira', '--url', base, ...args], {
      cwd,
      env
    })
    for (const secret of [key, reader, other, 'ck_wrong']) {
      t.notOk((output.stdout + output.stderr).includes(secret), 'no key is printed')
    }
    return output
  }
  const CREATE = '`connector api-keys create --name NAME --scopes sync:read,sync:write`'

  for (const args of [[], ['--cancel']]) {
    t.match(await sync(args), {
      code: 1,
      stdout: '',
      stderr: `Set CONNECTOR_API_KEY to an API key. Create one with ${CREATE}.\n`
    })
  }
  t.match(await sync([], { CONNECTOR_API_KEY: 'ck_wrong' }), {
    code: 1,
    stdout: '',
    stderr: `The API key is wrong, expired or revoked. Create another one with ${CREATE}.\n`
  })
  for (const [secret, scope] of [
    [reader, 'sync:write'],
    [other, 'sync:write']
  ] as const) {
    const { code, stdout, stderr } = await sync(['--key', secret])
    t.match({ code, stdout }, { code: 1, stdout: '' })
    t.match(stderr, scope)
    t.match(
      stderr,
      `The API key needs the scopes sync:read and sync:write. Create one with ${CREATE}.`
    )
  }
  t.match(await sync([], { CONNECTOR_API_KEY: 'two words' }), {
    code: 78,
    stdout: '',
    stderr: 'CONNECTOR_API_KEY must be an API key.\n'
  })

  t.match(await sync(['--key', key]), { code: 0, stdout: /^Run 2 succeeded: / })
  t.match(
    await sync(['--key', key], { CONNECTOR_API_KEY: 'ck_wrong' }),
    { code: 0 },
    'the option overrides the variable'
  )
  writeFileSync(join(cwd, '.env'), `CONNECTOR_API_KEY=${key}\n`)
  const { code, stdout } = await sync(['--json'])
  t.match({ code, run: JSON.parse(stdout) }, { code: 0, run: { id: 4, state: 'succeeded' } })
})
