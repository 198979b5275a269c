import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { SCOPES } from '../../src/access/rules.ts'
import { createSecret } from '../../src/access/secrets.ts'
import { hashSecret } from '../../src/lib/secret.ts'
import {
  readDatabaseContents,
  ensureDatabase,
  queryDatabase,
  acquireWriteLock
} from '../database.ts'
import { buildTestApp, VAULT_KEY, type TestApp } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { runCommand } from '../process/command.ts'
import { DAY_MS } from '../time.ts'
import { buildBearerHeader, PROTECTED_ENV } from './helper.ts'

/** A production service and the command, on the same database. */
async function createKeysFixture(t: Test, env: NodeJS.ProcessEnv = {}, now?: () => number) {
  const cwd = createTempFolder(t)
  const url = await ensureDatabase(t, join(cwd, 'c.db'))
  const settings = { APP_ENV: 'production', INTEGRATION_DB_URL: url, VAULT_KEYS: VAULT_KEY }
  const startService = async (more: NodeJS.ProcessEnv = {}) => {
    const built = await buildTestApp(t, { ...settings, ...PROTECTED_ENV, ...env, ...more }, now)
    await built.app.ready()
    return built
  }
  return {
    cwd,
    url,
    serve: startService,
    run: async (...args: string[]) =>
      await runCommand(['api-keys', ...args], { cwd, env: settings })
  }
}

async function getStatus({ app }: TestApp, key: string, path = '/users'): Promise<number> {
  return (await app.inject({ url: path, headers: buildBearerHeader(key) })).statusCode
}

/** Whether the text contains the key in any encoding. */
function containsKey(text: string, key: string): boolean {
  const secretPart = key.slice(3)
  const bytes = Buffer.from(secretPart, 'base64url')
  return [
    secretPart,
    secretPart.slice(8, 28),
    bytes.toString('base64').slice(0, 40),
    bytes.toString('hex'),
    Buffer.from(key).toString('hex'),
    Buffer.from(key).toString('base64').slice(0, 50),
    [...secretPart].reverse().join('')
  ].some((form) => text.includes(form))
}

t.test(
  'Prints a key once and stores only its hash; the key works at once, is listed, and fails when revoked',
  async (t) => {
    const { cwd, url, serve, run } = await createKeysFixture(t)
    const service = await serve()
    const made = await run(
      'create',
      '--name',
      'crm',
      '--scopes',
      'users:read, data:read,users:read'
    )
    t.match(made, { code: 0, stdout: /^jcck_[\w-]{49}\n$/, stderr: '' })
    const key = made.stdout.trim()
    t.match(
      (await run('list')).stdout,
      new RegExp(
        `^\\d+ {2}crm {2}${key.slice(0, 10)}… {2}users:read,data:read {2}created ` +
          '\\S+ {2}active {2}never used\\n$'
      )
    )
    t.equal(await getStatus(service, key), 200)
    t.equal(
      await getStatus(service, key, '/health/oauth'),
      403,
      'with the scopes it was created for'
    )
    const listed = await run('list')
    const [, usedAt = ''] = /last used (\S+)/.exec(listed.stdout) ?? []
    t.ok(Math.abs(Date.parse(usedAt) - Date.now()) < 60_000, usedAt)
    t.match(await run('create', '--name', 'crm', '--scopes', 'admin'), {
      code: 1,
      stdout: '',
      stderr: /^An API key named crm already exists\..*\n$/
    })
    t.match(await run('revoke', 'crm'), { code: 0, stdout: 'Revoked crm.\n', stderr: '' })
    t.equal(await getStatus(service, key), 401)
    t.match(await run('revoke', 'crm'), {
      code: 1,
      stdout: '',
      stderr: 'There is no active API key named crm.\n'
    })
    t.match(
      await run('create', '--name', 'crm', '--scopes', 'admin'),
      { code: 0 },
      'the name can be used again'
    )
    t.match((await run('list')).stdout, /crm .*revoked \d{4}.*\n.*crm .*active/)
    t.equal(await getStatus(service, key), 401, 'the revoked key stays revoked')

    t.same(
      (await queryDatabase(url, 'select hash from api_keys where name = ? order by id', 'crm'))[0],
      {
        hash: hashSecret(key)
      }
    )
    t.equal(
      await getStatus(service, `ck_${hashSecret(key)}`),
      401,
      'the key is not in the database'
    )
    t.notOk(containsKey(await readDatabaseContents(url), key), 'not in the database')
    t.notOk(containsKey(service.logText(), key), 'not in the log')
    t.notOk(containsKey(listed.stdout, key), 'nor in the list')
    t.same(
      readdirSync(cwd).filter((name) => !name.startsWith('c.db')),
      [],
      'prints nothing else'
    )
  }
)

t.test('A key with an expiry stops working when it expires', async (t) => {
  let ahead = 0
  const { serve, run } = await createKeysFixture(t, {}, () => Date.now() + ahead)
  const service = await serve()
  const { stdout } = await run('create', '--name', 'short', '--scopes', 'admin', '--expires', '2d')
  const key = stdout.trim()
  t.match(
    (await run('list')).stdout,
    new RegExp(`active until ${new Date(Date.now() + 2 * DAY_MS).toISOString().slice(0, 10)}`)
  )
  ahead = 2 * DAY_MS - 60_000
  t.equal(await getStatus(service, key), 200)
  ahead = 2 * DAY_MS + 1_000
  t.equal(await getStatus(service, key), 401)
})

t.test(
  'Invalid arguments exit with 2 and one sentence, and create nothing; an invalid database exits with 78',
  async (t) => {
    const good = ['--name', 'a', '--scopes', 'admin']
    const WRONG = [
      [],
      ['nonsense'],
      ['constructor'],
      ['create'],
      ['create', 'x', ...good],
      ['create', '--name', 'a'],
      ['create', '--scopes', 'admin'],
      ['create', '--name', 'a', '--scopes', ''],
      ['create', '--name', 'a', '--scopes', 'root'],
      ['create', '--name', 'a', '--scopes', 'users:read,Admin'],
      ...['', ' ', 'a b', '-a', 'a'.repeat(65), 'é', 'bootstrap'].map((name) => [
        'create',
        `--name=${name}`,
        '--scopes',
        'admin'
      ]),
      ...['90', '0d', '3651d', '90h', '-1d', '', '1.5d'].map((expires) => [
        'create',
        ...good,
        `--expires=${expires}`
      ]),
      ['list', 'x'],
      ['list', '--name', 'a'],
      ['list', '--scopes', 'admin'],
      ['revoke'],
      ['revoke', 'a', 'b'],
      ['revoke', 'a', '--name', 'b'],
      ['create', ...good, '--force'],
      ['create', '--name']
    ]
    const cwd = createTempFolder(t)
    for (let i = 0; i < WRONG.length; i += 6) {
      await Promise.all(
        WRONG.slice(i, i + 6).map(async (args) => {
          const { code, stdout, stderr } = await runCommand(['api-keys', ...args], { cwd })
          t.match({ code, stdout }, { code: 2, stdout: '' }, JSON.stringify(args))
          t.match(
            stderr,
            new RegExp(
              '^(Missing|Unknown|Unexpected|--(name|scopes|expires) must) .*\\. Run `connector ' +
                'api-keys( create| list| revoke)? --help`\\.\\n$'
            ),
            JSON.stringify(args)
          )
          t.notMatch(stderr, /\n\s+at /, 'no stack trace')
        })
      )
    }
    t.same(readdirSync(cwd), [], 'no database was created')
    const help = await runCommand(['api-keys', 'create', '--help'], { cwd })
    t.match(help, { code: 0, stdout: /--name.*--scopes.*--expires/s, stderr: '' })
    for (const scope of SCOPES) t.ok(help.stdout.includes(scope), scope)
    t.match(
      await runCommand(['api-keys', 'list'], {
        cwd,
        env: { INTEGRATION_DB_URL: 'mysql://u:pl4nted@h/db' }
      }),
      {
        code: 78,
        stdout: '',
        stderr: /^INTEGRATION_DB_URL must be (?!.*pl4nted).*\n$/
      }
    )
  }
)

t.test(
  'BOOTSTRAP_API_KEY creates a key with all scopes; a new value replaces it; a revoked key is not recreated',
  async (t) => {
    const { url, serve, run } = await createKeysFixture(t)
    const [first, second] = [createSecret('jcck'), createSecret('jcck')]
    const before = await serve({ BOOTSTRAP_API_KEY: first })
    t.equal(await getStatus(before, first, '/health/oauth'), 200)
    const again = await serve({ BOOTSTRAP_API_KEY: first })
    t.equal(
      (await queryDatabase(url, 'select id from api_keys')).length,
      1,
      'created once, for any number of instances'
    )
    t.equal(await getStatus(again, first), 200)
    const replaced = await serve({ BOOTSTRAP_API_KEY: second })
    t.same([await getStatus(before, first), await getStatus(replaced, second)], [401, 200])
    t.equal(await getStatus(await serve(), second), 200, 'follows the setting')
    t.match(await run('revoke', 'bootstrap'), { code: 0 })
    const back = await serve({ BOOTSTRAP_API_KEY: second })
    t.equal(await getStatus(back, second), 401)
    t.match(
      back.lines().filter(({ event }) => event === 'bootstrap_key_revoked'),
      [{ level: 'warn' }]
    )
    const all = await readDatabaseContents(url)
    for (const key of [first, second]) {
      for (const text of [all, before.logText(), replaced.logText(), back.logText()]) {
        t.notOk(containsKey(text, key))
      }
    }
  }
)

t.test('Recording the use of a key delays no request', async (t) => {
  const { url, serve, run } = await createKeysFixture(t)
  const service = await serve()
  const key = (await run('create', '--name', 'reader', '--scopes', 'users:read')).stdout.trim()
  const release = await acquireWriteLock(t, url)
  const begin = performance.now()
  t.equal(await getStatus(service, key), 200)
  t.ok(performance.now() - begin < 2_500, 'less than the three seconds that a write can wait')
  await release()
})

t.test(
  'Production denies access by default and warns if there are no keys; public access logs a warning',
  async (t) => {
    const events = async (env: NodeJS.ProcessEnv) => {
      const { app, lines } = await buildTestApp(t, { API_ACCESS: undefined, ...env })
      await app.ready()
      return {
        status: (await app.inject('/users')).statusCode,
        said: lines()
          .filter(({ event }) => ['api_public', 'no_api_keys'].includes(event as string))
          .map(({ event, level }) => `${level as string} ${event as string}`)
      }
    }
    const production = { APP_ENV: 'production' }
    t.same(await events(production), { status: 401, said: ['warn no_api_keys'] })
    t.same(await events({ ...production, BOOTSTRAP_API_KEY: createSecret('jcck') }), {
      status: 401,
      said: []
    })
    t.same(
      await events({
        ...production,
        JWT_ISSUER: 'https://id.example/',
        JWT_AUDIENCE: 'a',
        JWT_JWKS_URL: 'https://id.example/jwks'
      }),
      { status: 401, said: [] }
    )
    t.same(await events({ ...production, API_ACCESS: 'public' }), {
      status: 200,
      said: ['warn api_public']
    })
    t.same(await events({}), { status: 200, said: [] }, 'public outside production')
    t.same(await events({ API_ACCESS: 'protected' }), {
      status: 401,
      said: ['warn no_api_keys']
    })
  }
)

t.test(
  'C12 Serves the API description in development but not in production, unless API_DOCS overrides it',
  async (t) => {
    const statuses = async (env: NodeJS.ProcessEnv) => {
      const { app } = await buildTestApp(t, env)
      const requests = [
        '/docs',
        '/docs/',
        '/docs/json',
        '/docs/yaml',
        '/openapi.json',
        '/api/docs',
        '/api/openapi.json',
        '/docs/static/swagger-ui.css'
      ]
      return [
        ...new Set(
          await Promise.all(
            requests.map(async (url) => {
              const answer = await app.inject(url)
              return answer.statusCode < 400
                ? 'there'
                : `${answer.statusCode} ${answer.json().code as string}`
            })
          )
        )
      ]
    }
    t.same(await statuses({}), ['there'])
    t.same(await statuses({ API_DOCS: 'closed' }), ['404 not_found'])
    t.same(await statuses({ APP_ENV: 'production' }), ['404 not_found'])
    t.same(await statuses({ APP_ENV: 'production', API_ACCESS: 'protected' }), ['404 not_found'])
    t.same(await statuses({ APP_ENV: 'production', API_ACCESS: 'protected', API_DOCS: 'open' }), [
      'there'
    ])
  }
)
