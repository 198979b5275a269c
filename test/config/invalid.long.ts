import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { buildApp } from '../../src/app.ts'
import { StartError } from '../../src/lib/errors.ts'
import { ensureDatabase, isPostgres, queryDatabase } from '../database.ts'
import { VAULT_KEY } from '../helper.ts'
import { PLANTED_VALUE, INVALID_SETTINGS } from './table.ts'

const VALID_ENV = { APP_ENV: 'test', INTEGRATION_DB_URL: 'sqlite::memory:', VAULT_KEYS: VAULT_KEY }

/** The start error with these settings; fails the test if the service starts. */
async function getStartError(env: NodeJS.ProcessEnv): Promise<StartError | undefined> {
  try {
    await (await buildApp({ env: { ...VALID_ENV, ...env } })).close()
  } catch (error) {
    if (error instanceof StartError) return error
    throw error
  }
}

t.test(
  `E2 A4 T41 Each of ${INVALID_SETTINGS.length} invalid settings stops the start; its value is not printed`,
  async (t) => {
    for (const [env, named] of INVALID_SETTINGS) {
      const title = JSON.stringify(env)
      const error = await getStartError(env)
      if (error === undefined) {
        t.fail(`${title} started`)
        continue
      }
      t.equal(error.exitCode, 78, title)
      t.ok(
        error.problems.some((problem) => problem.includes(named)),
        `${title}: ${error.message}`
      )
      t.ok(
        error.problems.every((problem) => /^\S.*[.?]$/.test(problem)),
        'in full sentences'
      )
      t.notOk(error.message.includes(PLANTED_VALUE), 'without the value')
    }
  }
)

t.test('E2 All problems are reported together', async (t) => {
  const error = await getStartError({
    APP_ENV: 'nonsense',
    PORT: 'x',
    LOG_LEVEL: 'x',
    VAULT_KEYS: 'x,y',
    APP_FRONTEND_URL: 'x',
    TRUST_PROXY: 'x',
    JIRA_OAUTH_REDIRECT_URI: 'http://x.example',
    UPSTREAM_ANSWER_TIMEOUT_MS: '0',
    JIRA_CLIENT_IDD: 'x'
  })
  for (const name of [
    'APP_ENV',
    'PORT',
    'LOG_LEVEL',
    'VAULT_KEYS: entry 1',
    'VAULT_KEYS: entry 2',
    'APP_FRONTEND_URL',
    'TRUST_PROXY',
    'JIRA_OAUTH_REDIRECT_URI',
    'UPSTREAM_ANSWER_TIMEOUT_MS',
    'JIRA_CLIENT_IDD'
  ]) {
    t.equal(error?.problems.filter((problem) => problem.includes(name)).length, 1, name)
  }
})

t.test('Accepts valid settings without a message', async (t) => {
  const right: NodeJS.ProcessEnv[] = [
    {},
    { APP_ENV: 'production' },
    { DEV_MODE: 'False', APP_ENV: 'production' },
    { PORT: '0' },
    { PORT: ' 8080 ' },
    { HOST: '::1' },
    { LOG_LEVEL: 'warning' },
    { TRUST_PROXY: 'loopback, 10.0.0.0/8,fe80::/10' },
    { BACKEND_CORS_ORIGINS: 'https://a.example, http://b.example:8080' },
    { BACKEND_CORS_ORIGINS: 'https://a.example/,https://B.example:443' },
    { HTTPS_PROXY: 'proxy.example.com:3128', NO_PROXY: 'localhost,.internal' },
    { APP_FRONTEND_URL: 'http://localhost:3000/' },
    { PUBLIC_URL: 'https://a.example/api' },
    { JIRA_OAUTH_REDIRECT_URI: 'http://localhost:3001/auth/jira/callback' },
    { JIRA_OAUTH_REDIRECT_URI: 'http://[::1]:3001/x?y=1' },
    { JIRA_OAUTH_SCOPES: 'read:jira-work  offline_access' },
    { SYNC_INTERVAL: '0', SYNC_SHRINK_PERCENT: '0', TOMBSTONE_DAYS: '1' },
    {
      SYNC_INTERVAL: '10080',
      SYNC_FULL_INTERVAL: '720',
      SYNC_CONCURRENCY: '100',
      SYNC_SHRINK_PERCENT: '100',
      SYNC_HISTORY_DAYS: '3650',
      ATLASSIAN_HOURLY_POINTS: '100'
    },
    {
      PATH: '/bin',
      HOME: '/x',
      JIRA_URL: 'x',
      CI: '1',
      NODE_ENV: 'production',
      npm_config_x: 'y',
      JIRA_HOST: 'jira.example',
      PUBLIC_URI: ''
    }
  ]
  for (const env of right) t.equal(await getStartError(env), undefined, JSON.stringify(env))
})

t.test('B7 An unusable file or server stops the start with a sentence', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'connector-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const url = (name: string) => `sqlite:///${join(folder, name)}`
  t.match((await getStartError({ INTEGRATION_DB_URL: url('missing/folder/c.db') }))?.problems, [
    /^(?=.*INTEGRATION_DB_URL).*cannot be opened for writing/
  ])
  t.match(
    (await getStartError({ INTEGRATION_DB_URL: `sqlite:///${folder}` }))?.problems,
    [/cannot be opened for writing/],
    'a folder'
  )
  writeFileSync(
    join(folder, 'text.db'),
    'this is not a database, it is a text of some length, and it stays one'.repeat(20)
  )
  t.match(
    (await getStartError({ INTEGRATION_DB_URL: url('text.db') }))?.problems,
    [/INTEGRATION_DB_URL/],
    'a text file'
  )
  t.match(
    (
      await getStartError({
        INTEGRATION_DB_URL: 'postgresql+psycopg://u:pl4nted-value@127.0.0.1:1/db'
      })
    )?.message,
    /^(?!.*pl4nted-value).*(INTEGRATION_DB_URL|PostgreSQL)/s
  )
})

t.test(
  'B7 A database of a newer version or of another program stops the start with a sentence',
  async (t) => {
    const newer = await ensureDatabase(t, `${t.testdir()}/newer.db`)
    await (await buildApp({ env: { ...VALID_ENV, INTEGRATION_DB_URL: newer } })).close()
    await queryDatabase(
      newer,
      `insert into ${isPostgres ? 'drizzle.' : ''}__drizzle_migrations (hash, created_at) ` +
        "values ('future', 9999999999999)"
    )
    t.match((await getStartError({ INTEGRATION_DB_URL: newer }))?.problems, [/newer version/])
    const other = await ensureDatabase(t, `${t.testdir()}/other.db`)
    await queryDatabase(other, 'create table users (id integer primary key, name text)')
    t.match(
      (await getStartError({ INTEGRATION_DB_URL: other }))?.problems,
      [/another program's database/],
      "another program's tables"
    )
  }
)
