import t from 'tap'
import { resolveSettings } from '../../src/config/aliases.ts'
import { loadSettings } from '../../src/config/load.ts'
import { createEnvSchema, listSettings, type Setting } from '../../src/config/schema.ts'
import { builtInProviders } from '../../src/providers/index.ts'
import { buildTestApp, VAULT_KEY } from '../helper.ts'

const jiraIdNames = [
  'JIRA_OAUTH_CLIENT_ID',
  'JIRA_CLIENT_ID',
  'ATLASSIAN_CLIENT_ID',
  'NEXT_PUBLIC_JIRA_OAUTH_CLIENT_ID',
  'NEXT_PUBLIC_JIRA_CLIENT_ID',
  'NEXT_PUBLIC_ATLASSIAN_CLIENT_ID'
]
const jiraSecretNames = [
  'JIRA_OAUTH_CLIENT_SECRET',
  'JIRA_CLIENT_SECRET',
  'ATLASSIAN_CLIENT_SECRET',
  'NEXT_PUBLIC_JIRA_OAUTH_CLIENT_SECRET',
  'NEXT_PUBLIC_ATLASSIAN_CLIENT_SECRET'
]
const jiraRedirectNames = [
  'JIRA_OAUTH_REDIRECT_URI',
  'JIRA_REDIRECT_URI',
  'ATLASSIAN_REDIRECT_URI',
  'NEXT_PUBLIC_JIRA_OAUTH_REDIRECT_URI',
  'NEXT_PUBLIC_JIRA_REDIRECT_URI',
  'NEXT_PUBLIC_ATLASSIAN_REDIRECT_URI'
]

/** Contract section 2, repeated here on purpose so that a change of an alias fails a test. */
const NAMES_BY_SETTING: Record<string, string[]> = {
  JIRA_OAUTH_CLIENT_ID: jiraIdNames,
  JIRA_OAUTH_CLIENT_SECRET: jiraSecretNames,
  JIRA_OAUTH_REDIRECT_URI: jiraRedirectNames,
  CONFLUENCE_OAUTH_CLIENT_ID: [
    'CONFLUENCE_OAUTH_CLIENT_ID',
    'CONFLUENCE_CLIENT_ID',
    'NEXT_PUBLIC_CONFLUENCE_OAUTH_CLIENT_ID',
    'NEXT_PUBLIC_CONFLUENCE_CLIENT_ID',
    ...jiraIdNames
  ],
  CONFLUENCE_OAUTH_CLIENT_SECRET: [
    'CONFLUENCE_OAUTH_CLIENT_SECRET',
    'CONFLUENCE_CLIENT_SECRET',
    'NEXT_PUBLIC_CONFLUENCE_OAUTH_CLIENT_SECRET',
    ...jiraSecretNames
  ],
  CONFLUENCE_OAUTH_REDIRECT_URI: [
    'CONFLUENCE_OAUTH_REDIRECT_URI',
    'CONFLUENCE_REDIRECT_URI',
    'NEXT_PUBLIC_CONFLUENCE_OAUTH_REDIRECT_URI',
    'NEXT_PUBLIC_CONFLUENCE_REDIRECT_URI',
    ...jiraRedirectNames
  ],
  APP_FRONTEND_URL: [
    'APP_FRONTEND_URL',
    'NEXT_PUBLIC_APP_FRONTEND_URL',
    'NEXT_PUBLIC_FRONTEND_BASE_URL'
  ],
  ATLASSIAN_CLOUD_BASE_URL: ['ATLASSIAN_CLOUD_BASE_URL', 'NEXT_PUBLIC_ATLASSIAN_CLOUD_BASE_URL'],
  PUBLIC_URL: ['PUBLIC_URL', 'PUBLIC_BASE_URL']
}
const SETTINGS = listSettings(createEnvSchema(builtInProviders))
const resolve = (env: NodeJS.ProcessEnv) => resolveSettings(env, SETTINGS, builtInProviders)
const toSetting = (name: string) => name as Setting
const createValue = (name: string) =>
  /REDIRECT|URL/.test(name)
    ? `https://${name.toLowerCase().replaceAll('_', '-')}.example/oauth/atlassian/callback`
    : `value-of-${name}`

for (const [target, names] of Object.entries(NAMES_BY_SETTING)) {
  t.test(`Reads ${target} from each of its ${names.length} names, in order`, (t) => {
    const resolveSetting = (env: NodeJS.ProcessEnv) => {
      const { values, sources } = resolve(env)
      return [values[toSetting(target)], sources[toSetting(target)]]
    }
    for (const [i, name] of names.entries()) {
      t.same(
        resolveSetting({ [name]: createValue(name) }),
        [createValue(name), name],
        `${name} alone`
      )
      t.same(
        resolveSetting({ [name]: `  ${createValue(name)}\t\n` }),
        [createValue(name), name],
        `${name} is trimmed`
      )
      const later = Object.fromEntries(
        names
          .slice(i)
          .toReversed()
          .map((each) => [each, createValue(each)])
      )
      t.same(resolveSetting(later), [createValue(name), name], `${name} overrides later names`)
      for (const empty of ['', ' ', '\t\n', undefined]) {
        const skipped = {
          ...later,
          ...Object.fromEntries(names.slice(0, i).map((each) => [each, empty]))
        }
        t.same(
          resolveSetting(skipped),
          [createValue(name), name],
          `${name} when the earlier names are ${JSON.stringify(empty)}`
        )
      }
    }
    for (const name of [target.toLowerCase(), `X_${target}`, `NEXT_PUBLIC_${target}_X`]) {
      t.same(resolveSetting({ [name]: 'x' }), [undefined, undefined], `${name} is not a name`)
    }
    t.end()
  })
}

t.test('Reads no secret from NEXT_PUBLIC_ names that the contract does not list', (t) => {
  for (const name of ['NEXT_PUBLIC_JIRA_CLIENT_SECRET', 'NEXT_PUBLIC_CONFLUENCE_CLIENT_SECRET']) {
    t.same(resolve({ [name]: 'x' }).values, {}, name)
  }
  t.end()
})

t.test("Confluence does not use a redirect URI that is Jira's own callback", (t) => {
  const borrowed = (env: NodeJS.ProcessEnv) => resolve(env).values.CONFLUENCE_OAUTH_REDIRECT_URI
  for (const name of jiraRedirectNames) {
    for (const path of [
      '/auth/jira/callback',
      '/api/auth/jira/callback',
      '/auth/jira/callback/',
      '/auth/jira/callback?x=1',
      '/some/prefix/auth/jira/callback'
    ]) {
      t.equal(borrowed({ [name]: `https://a.example${path}` }), undefined, `${name} ${path}`)
    }
    for (const path of [
      '/oauth/atlassian/callback',
      '/api/oauth/atlassian/callback',
      '/auth/confluence/callback',
      '/callback'
    ]) {
      t.equal(
        borrowed({ [name]: `https://a.example${path}` }),
        `https://a.example${path}`,
        `${name} ${path}`
      )
    }
  }
  t.equal(
    borrowed({
      JIRA_OAUTH_REDIRECT_URI: 'https://a.example/auth/jira/callback',
      ATLASSIAN_REDIRECT_URI: 'https://a.example/oauth/atlassian/callback'
    }),
    'https://a.example/oauth/atlassian/callback',
    'uses the next name that fits'
  )
  t.equal(
    borrowed({ CONFLUENCE_OAUTH_REDIRECT_URI: 'https://a.example/auth/jira/callback' }),
    'https://a.example/auth/jira/callback',
    "Confluence's own setting is used as it is"
  )
  t.end()
})

t.test(
  'T26 A secret under a NEXT_PUBLIC_ name works, with one warning that names it and not its value',
  async (t) => {
    for (const name of [
      'NEXT_PUBLIC_JIRA_OAUTH_CLIENT_SECRET',
      'NEXT_PUBLIC_ATLASSIAN_CLIENT_SECRET',
      'NEXT_PUBLIC_CONFLUENCE_OAUTH_CLIENT_SECRET'
    ]) {
      const { app, lines, logText } = await buildTestApp(t, { [name]: 'planted-public-secret' })
      t.equal(app.config.clients.confluence?.clientSecret, 'planted-public-secret')
      const warnings = lines().filter(
        ({ event, message }) =>
          event === 'setting_warning' && /publish to browsers/.test(String(message))
      )
      t.match(warnings, [{ level: 'warn', message: new RegExp(`^${name} `) }])
      t.equal(warnings.length, 1, 'one warning, though two products use it')
      t.notMatch(logText(), 'planted-public-secret')
    }
    const { lines } = await buildTestApp(t, {
      JIRA_OAUTH_CLIENT_SECRET: 'x',
      JIRA_OAUTH_REDIRECT_URI: 'https://a.example/auth/jira/callback',
      NEXT_PUBLIC_JIRA_OAUTH_CLIENT_SECRET: 'unused',
      NEXT_PUBLIC_JIRA_OAUTH_CLIENT_ID: 'fine'
    })
    t.same(
      lines().filter(({ event }) => event === 'setting_warning'),
      [],
      'no warning for unused or non-secret names'
    )
  }
)

t.test(
  'Defaults: development on loopback with every origin; production on every address with no origin',
  async (t) => {
    const config = async (env: NodeJS.ProcessEnv) =>
      (
        await loadSettings({
          VAULT_KEYS: VAULT_KEY,
          INTEGRATION_DB_URL: 'sqlite::memory:',
          ...env
        })
      ).config
    t.match(await config({}), {
      production: false,
      modeDefaulted: true,
      host: '127.0.0.1',
      corsOrigins: 'any',
      trustProxy: []
    })
    t.match(await config({ APP_ENV: 'development' }), {
      production: false,
      modeDefaulted: false,
      host: '127.0.0.1',
      corsOrigins: 'any'
    })
    t.match(await config({ APP_ENV: 'test' }), { production: false, modeDefaulted: false })
    t.match(await config({ DEV_MODE: 'TRUE' }), { production: false, modeDefaulted: false })
    t.match(await config({ APP_ENV: 'production' }), {
      production: true,
      host: '0.0.0.0',
      corsOrigins: []
    })
    t.match(await config({ APP_ENV: 'production', HOST: '10.0.0.1' }), { host: '10.0.0.1' })
    t.match(await config({ HOST: '0.0.0.0' }), { host: '0.0.0.0' })
    t.match(
      await config({
        APP_FRONTEND_URL: 'https://a.example///',
        PUBLIC_BASE_URL: 'https://b.example/api/'
      }),
      { frontendUrl: 'https://a.example', publicUrl: 'https://b.example/api' }
    )
    t.equal(
      (await config({ PUBLIC_URL: 'https://b.example' })).clients.jira?.redirectUri,
      null,
      'a public address does not replace a redirect URI'
    )
  }
)
