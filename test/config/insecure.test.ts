import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { VAULT_KEY } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { judgeStart } from './judge.ts'

const ALL_LIMITS_OFF = {
  RATE_LIMIT: '0',
  RATE_LIMIT_LOGIN: '0',
  RATE_LIMIT_REFUSED: '0',
  OVERLOAD_AFTER_MS: '0'
}
const INSECURE_SETTINGS: Array<[env: NodeJS.ProcessEnv, named: string, allowance: string]> = [
  [{ ATLASSIAN_AUTH_URL: 'http://auth.example' }, 'ATLASSIAN_AUTH_URL', 'http_atlassian'],
  [{ ATLASSIAN_API_URL: 'http://api.example' }, 'ATLASSIAN_API_URL', 'http_atlassian'],
  [{ APP_FRONTEND_URL: 'http://app.example' }, 'APP_FRONTEND_URL', 'http_frontend'],
  [
    { NEXT_PUBLIC_APP_FRONTEND_URL: 'http://app.example' },
    'NEXT_PUBLIC_APP_FRONTEND_URL',
    'http_frontend'
  ],
  [{ PUBLIC_URL: 'http://app.example' }, 'PUBLIC_URL', 'http_public'],
  [ALL_LIMITS_OFF, 'RATE_LIMIT', 'no_limits'],
  [{ BACKEND_CORS_ORIGINS: '*' }, 'BACKEND_CORS_ORIGINS', 'any_origin']
]

t.test('T41 Production refuses each insecure setting until ALLOW_INSECURE names it', async (t) => {
  for (const [env, named, allowance] of INSECURE_SETTINGS) {
    const { problems } = await judgeStart(env)
    t.equal(problems.length, 1, named)
    t.match(problems[0], new RegExp(`^${named}\\b.* ALLOW_INSECURE=${allowance} permits it\\.$`))
    const allowed = await judgeStart({ ...env, ALLOW_INSECURE: allowance })
    t.same(allowed.problems, [])
    t.match(allowed.warnings, [new RegExp(`^${named}\\b.*\\(${allowance}\\)\\.$`)], 'logged')
    const others = INSECURE_SETTINGS.map(([, , other]) => other).filter((o) => o !== allowance)
    t.equal((await judgeStart({ ...env, ALLOW_INSECURE: others.join(', ') })).problems.length, 1)
    t.same((await judgeStart({ ...env, APP_ENV: 'test' })).problems, [], 'development is free')
  }
  t.same((await judgeStart({})).warnings, [])
  t.same((await judgeStart({ ...ALL_LIMITS_OFF, RATE_LIMIT: '600' })).problems, [])
})

t.test('T41 Production warns about http addresses of this machine', async (t) => {
  const { problems, warnings } = await judgeStart({ ATLASSIAN_API_URL: 'http://localhost:4001' })
  t.same(problems, [])
  t.match(warnings, [/^ATLASSIAN_API_URL is an http address of this machine/])
})

t.test('T29 Development with an Atlassian app refuses BACKEND_CORS_ORIGINS=*', async (t) => {
  const env = { APP_ENV: 'development', BACKEND_CORS_ORIGINS: '*', JIRA_OAUTH_CLIENT_SECRET: 'x' }
  t.match((await judgeStart(env)).problems, [/^BACKEND_CORS_ORIGINS=\* /])
  t.same((await judgeStart({ ...env, ALLOW_INSECURE: 'any_origin' })).problems, [])
})

t.test('B8 T41 Production refuses key files that other users can read or change', async (t) => {
  const file = join(createTempFolder(t), 'keys')
  writeFileSync(file, VAULT_KEY)
  const env = { VAULT_KEYS: undefined, VAULT_KEYS_FILE: file }
  for (const [mode, problem] of [
    [0o644, /^The file of VAULT_KEYS_FILE can be read by other users.*=readable_keys permits/],
    [0o602, /^The file of VAULT_KEYS_FILE is writable by every user.*=readable_keys permits/]
  ] as const) {
    chmodSync(file, mode)
    t.match((await judgeStart(env)).problems, [problem])
    t.same((await judgeStart({ ...env, ALLOW_INSECURE: 'readable_keys' })).problems, [])
    const development = await judgeStart({ ...env, APP_ENV: 'development' })
    t.match(development, { problems: [], warnings: [/^The file of VAULT_KEYS_FILE/] })
  }
  chmodSync(file, 0o640)
  t.match(await judgeStart(env), {
    problems: [],
    warnings: [/can be read by its group \(chmod 600 .*\)\.$/]
  })
  chmodSync(file, 0o600)
  t.match(await judgeStart(env), { problems: [], warnings: [] })
})

t.test('T41 Production refuses state in folders that other users can change', async (t) => {
  const folder = createTempFolder(t)
  const data = join(folder, 'data')
  mkdirSync(data)
  const env = { INTEGRATION_DB_URL: `sqlite:///${data}/c.db` }
  t.same((await judgeStart(env)).problems, [])
  chmodSync(data, 0o1777)
  t.match((await judgeStart(env)).problems, [
    /^The folder of the database is writable by every user.*=shared_folders permits it\.$/
  ])
  t.same((await judgeStart({ ...env, ALLOW_INSECURE: 'shared_folders' })).problems, [])
  chmodSync(data, 0o770)
  t.match(await judgeStart(env), {
    problems: [],
    warnings: [/is writable by its group \(chmod g-w .*\)\.$/]
  })
  chmodSync(data, 0o700)
  chmodSync(folder, 0o777)
  t.match((await judgeStart(env)).problems, [/^The folder of the database lies in .*connector-/])
  chmodSync(folder, 0o1777)
  t.same((await judgeStart(env)).problems, [], 'others cannot replace a folder in a sticky one')
  writeFileSync(join(data, 'c.db-wal'), '')
  chmodSync(join(data, 'c.db-wal'), 0o606)
  t.match((await judgeStart(env)).problems, [/^The file of the database is writable by every user/])
})
