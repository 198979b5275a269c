import t from 'tap'
import { loadDatabaseSettings, loadSettings, loadStoreSettings } from '../../src/config/load.ts'
import { buildTestApp, VAULT_KEY } from '../helper.ts'
import { judgeStart } from './judge.ts'
import { MISSPELT_SETTINGS, PLANTED_VALUE } from './table.ts'

t.test('A misspelt setting stops no start; the log names the setting it resembles', async (t) => {
  for (const [env, named] of MISSPELT_SETTINGS) {
    const { problems, warnings } = await judgeStart(env)
    t.same(problems, [])
    const [variable = ''] = Object.keys(env)
    t.equal(warnings.length, 1, variable)
    t.equal(warnings[0], `${variable} is not a setting of this service; did you mean ${named}?`)
  }
  const { problems } = await judgeStart({ VAULT_KEYS: undefined, VAULT_KEY: PLANTED_VALUE })
  t.match(problems, [/^VAULT_KEYS or VAULT_KEYS_FILE is required/, /^VAULT_KEY .*did you mean/])
})

t.test('Variables of other programs stop no start and cause no warning', async (t) => {
  const foreign = {
    // Kubernetes' service links for a service called connector, and others of their kind.
    CONNECTOR_PORT: 'tcp://10.0.0.1:3001',
    CONNECTOR_SERVICE_HOST: '10.0.0.1',
    CONNECTOR_SERVICE_PORT: '3001',
    CONNECTOR_PORT_3001_TCP_ADDR: '10.0.0.1',
    JIRA_PORT: 'tcp://10.0.0.2:8080',
    HTTP_PROXY: 'nonsense',
    http_proxy: 'http://proxy.example:3128',
    ALL_PROXY: 'socks5://proxy.example',
    NODE_ENV: 'staging',
    HOSTNAME: 'pod-1',
    DATABASE_URL: 'mysql://db.example',
    npm_config_https_proxy: 'x'
  }
  t.same(await judgeStart(foreign), { problems: [], warnings: [] })
})

t.test('Production refuses a SQLite path that depends on the working directory', async (t) => {
  const absolute =
    /; production requires an absolute path \(four slashes\), such as sqlite:\/\/\/\//
  for (const url of ['sqlite:///./integration.db', 'sqlite:///data/c.db', 'sqlite:///../c.db']) {
    const { problems } = await judgeStart({ INTEGRATION_DB_URL: url })
    t.match(problems, [/^INTEGRATION_DB_URL is a path relative to the working directory;/])
    t.match(problems, [absolute])
    t.same((await judgeStart({ INTEGRATION_DB_URL: url, APP_ENV: 'test' })).problems, [])
  }
  const unset = { INTEGRATION_DB_URL: undefined }
  t.match((await judgeStart(unset)).problems, [/^INTEGRATION_DB_URL is not set;/])
  const production = { APP_ENV: 'production', VAULT_KEYS: VAULT_KEY }
  for (const load of [loadDatabaseSettings, loadStoreSettings]) {
    await t.rejects(load(production), { message: absolute }, 'commands too')
  }
  t.equal((await loadDatabaseSettings({})).databaseUrl, 'sqlite:///./integration.db')
})

const APP = { JIRA_OAUTH_CLIENT_ID: 'id', JIRA_OAUTH_CLIENT_SECRET: PLANTED_VALUE }

t.test(
  'A redirect URI whose path the service does not serve is named at start; the service starts',
  async (t) => {
    for (const path of [
      '/',
      '/callback',
      '/auth/jira',
      '/auth/confluence/callback',
      '/xauth/jira/cb'
    ]) {
      const env = { ...APP, JIRA_REDIRECT_URI: `https://a.example${path}` }
      const sentence =
        /^JIRA_REDIRECT_URI has .* should end with \/auth\/jira\/callback or \/oauth\/atlassian\/callback,/
      const { problems, warnings } = await judgeStart(env)
      t.same(problems, [])
      t.match(warnings, [sentence], path)
    }
    for (const path of [
      '/auth/jira/callback',
      '/api/auth/jira/callback/',
      '/connector/api/oauth/atlassian/callback?x=1'
    ]) {
      const env = { ...APP, JIRA_OAUTH_REDIRECT_URI: `https://a.example${path}` }
      t.same(await judgeStart(env), { problems: [], warnings: [] }, path)
    }
  }
)

t.test('An incomplete OAuth app is named at start; the service starts', async (t) => {
  const redirect = { JIRA_OAUTH_REDIRECT_URI: 'https://a.example/auth/jira/callback' }
  t.match(await judgeStart({ ...redirect, JIRA_CLIENT_ID: 'id' }), {
    problems: [],
    warnings: [
      /^JIRA_CLIENT_ID and JIRA_OAUTH_REDIRECT_URI are set without JIRA_OAUTH_CLIENT_SECRET: Jira/
    ]
  })
  t.match((await judgeStart(APP)).warnings, [/set without JIRA_OAUTH_REDIRECT_URI/])
  t.match((await judgeStart({ CONFLUENCE_OAUTH_CLIENT_SECRET: 'x' })).warnings, [
    /^CONFLUENCE_OAUTH_CLIENT_SECRET is set without CONFLUENCE_OAUTH_CLIENT_ID and CONF/
  ])
  t.same((await judgeStart({ ...APP, ...redirect })).warnings, [], 'Confluence borrows only')
  const { app } = await buildTestApp(t, { APP_ENV: 'production', JIRA_OAUTH_CLIENT_ID: 'id' })
  const login = await app.inject('/auth/jira/login')
  t.match(login.json(), { status: 400, missing: { client_secret: true, client_id: false } })
})

t.test('Origins are understood with a trailing slash, a default port and capitals', async (t) => {
  const { app } = await buildTestApp(t, {
    BACKEND_CORS_ORIGINS: 'https://App.example.com/, http://b.example:80'
  })
  for (const origin of ['https://app.example.com', 'http://b.example']) {
    const { headers } = await app.inject({ url: '/healthz', headers: { origin } })
    t.equal(headers['access-control-allow-origin'], origin)
  }
  const { config } = await loadSettings({
    VAULT_KEYS: VAULT_KEY,
    NEXT_PUBLIC_FRONTEND_BASE_URL: 'https://App.example.com/',
    PUBLIC_BASE_URL: 'https://a.example/api/',
    NEXT_PUBLIC_ATLASSIAN_CLOUD_BASE_URL: 'https://team.atlassian.net/'
  })
  t.match(config, {
    frontendUrl: 'https://app.example.com',
    publicUrl: 'https://a.example/api',
    cloudBaseUrl: 'https://team.atlassian.net'
  })
})
