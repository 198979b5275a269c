import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { VAULT_KEY } from '../helper.ts'
import { findFreePort, canConnect } from '../network.ts'
import { createTempFolder } from '../process/child.ts'
import { MAIN_PATH, spawnCommand } from '../process/command.ts'
import { PLANTED_VALUE } from './table.ts'

/**
 * Starts the service in an empty environment, and waits for its exit or for `until` in its
 * output.
 */
async function runService(
  t: Test,
  env: NodeJS.ProcessEnv,
  { cwd = createTempFolder(t), until }: { cwd?: string; until?: RegExp } = {}
) {
  const { child, completion, waitForOutput } = spawnCommand([], { cwd, env })
  t.teardown(() => child.kill('SIGKILL'))
  const { stdout, stderr } = await (until === undefined ? completion : waitForOutput(until))
  return {
    cwd,
    stderr,
    stdout,
    child,
    completion,
    code: child.exitCode,
    isPortOpen: env.PORT === undefined ? false : await canConnect(Number(env.PORT))
  }
}

t.test(
  'E2 A4 T41 Invalid settings exit with 78, name every variable, print no value, open no port, leave no file',
  async (t) => {
    const cases: Array<[name: string, env: NodeJS.ProcessEnv, named: string[]]> = [
      [
        'an empty production configuration',
        { APP_ENV: 'production' },
        ['VAULT_KEYS', 'VAULT_KEYS_FILE']
      ],
      [
        'many at once',
        {
          APP_ENV: PLANTED_VALUE,
          LOG_LEVEL: PLANTED_VALUE,
          VAULT_KEYS: `k1:${PLANTED_VALUE}`,
          INTEGRATION_DB_URL: `mysql://${PLANTED_VALUE}`,
          JIRA_OAUTH_CLIENT_SERCET: PLANTED_VALUE
        },
        ['APP_ENV', 'LOG_LEVEL', 'VAULT_KEYS', 'INTEGRATION_DB_URL', 'JIRA_OAUTH_CLIENT_SERCET']
      ],
      [
        'a weak key',
        { APP_ENV: 'production', VAULT_KEYS: `k1:${Buffer.alloc(32, 7).toString('base64')}` },
        ['VAULT_KEYS']
      ],
      [
        'a contradiction',
        { APP_ENV: 'production', DEV_MODE: 'true', VAULT_KEYS: VAULT_KEY },
        ['APP_ENV', 'DEV_MODE']
      ]
    ]
    await Promise.all(
      cases.map(async ([name, env, named]) => {
        const port = await findFreePort()
        const { code, stderr, stdout, cwd, isPortOpen } = await runService(t, {
          ...env,
          PORT: String(port)
        })
        t.equal(code, 78, name)
        for (const each of named) t.match(stderr, new RegExp(`\\b${each}\\b`), `${name}: ${each}`)
        for (const value of [PLANTED_VALUE, 'BwcH']) t.notMatch(stderr + stdout, value)
        t.notMatch(stderr, /\n\s+at /, 'no stack trace')
        t.equal(isPortOpen, false)
        t.same(readdirSync(cwd), [], `${name}: no file was created`)
      })
    )
  }
)

t.test('E2 Reads .env from the working directory; environment variables override it', async (t) => {
  const cwd = createTempFolder(t)
  writeFileSync(join(cwd, '.env'), `APP_ENV=${PLANTED_VALUE}\nPORT=wrong\nLOG_LEVEL=INFO\n`)
  const { code, stderr } = await runService(t, { APP_ENV: 'production' }, { cwd })
  t.equal(code, 78)
  t.match(stderr, /PORT/)
  t.match(stderr, /VAULT_KEYS/, 'production, as in the environment')
  t.notMatch(stderr, /APP_ENV must/)
})

t.test('E2 Reports a port in use and a read-only database in one sentence', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const [busy, unwritable] = await Promise.all([
    runService(t, {
      APP_ENV: 'test',
      VAULT_KEYS: VAULT_KEY,
      INTEGRATION_DB_URL: 'sqlite::memory:',
      PORT: String(port)
    }),
    runService(t, {
      APP_ENV: 'test',
      VAULT_KEYS: VAULT_KEY,
      INTEGRATION_DB_URL: 'sqlite:////proc/nowhere/c.db'
    })
  ])
  t.equal(busy.code, 1)
  t.equal(
    busy.stderr.trim(),
    'The port is already in use. Stop the other program, or choose another port.'
  )
  t.equal(unwritable.code, 78)
  t.match(
    unwritable.stderr,
    /^(?=.*INTEGRATION_DB_URL)The database file .*cannot be opened for writing .*\n$/
  )
})

t.test(
  'E2 A fresh clone starts without settings: development, on loopback only, with a generated key',
  async (t) => {
    const port = await findFreePort()
    const { child, cwd, stdout, stderr, completion } = await runService(
      t,
      { PORT: String(port) },
      { until: /Server listening/ }
    )
    t.equal((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200)
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    t.equal(lines.filter(({ event }) => event === 'mode_defaulted').length, 1)
    t.equal(stderr, '')
    t.equal(
      lines.filter(
        ({ message }) =>
          /listening/i.test(String(message)) && !/127\.0\.0\.1|loopback/.test(String(message))
      ).length,
      0,
      'loopback only'
    )
    t.equal(statSync(join(cwd, '.vault-keys.dev')).mode & 0o777, 0o600)
    t.ok(existsSync(join(cwd, 'integration.db')))
    child.kill('SIGTERM')
    t.equal((await completion).code, 0, 'stops on request')
  }
)

const oldNodePath = ['/usr/bin/node', '/usr/local/bin/node'].find(
  (path) =>
    existsSync(path) && /^v(1\d|20|21)\./.test(spawnSync(path, ['-v'], { encoding: 'utf8' }).stdout)
)
t.test(
  'E2 An outdated Node is told the required version',
  { skip: oldNodePath === undefined ? 'no old Node on this machine' : false },
  async (t) => {
    const { status, stderr, stdout } = spawnSync(oldNodePath ?? '', [MAIN_PATH], {
      cwd: createTempFolder(t),
      encoding: 'utf8',
      env: {}
    })
    t.equal(status, 1)
    t.match(stderr, /^Node \S+ is too old: this service needs 22\.19 or newer\..*\n$/)
    t.equal(stdout, '')
  }
)
