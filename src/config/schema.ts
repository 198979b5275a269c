import { Type, type Static } from '@sinclair/typebox'
import { PRODUCT_TITLES } from '../model/products.ts'
import { parseKeyring } from '../vault/keyring.ts'
import {
  isAddressList,
  isApiKey,
  isDatabaseUrl,
  isOriginList,
  isPublicKey,
  isSecureRedirect,
  isHttpBaseUrl
} from './formats.ts'

const textSetting = (rule: string, description: string, options: object = {}) =>
  Type.Optional(Type.String({ rule, description, ...options }))
const urlSetting = (description: string, options: object = {}) =>
  textSetting('must be an http(s) address without credentials, query or fragment', description, {
    format: 'web-url',
    ...options
  })
const wordSetting = (description: string) =>
  textSetting('must be text without spaces', description, { pattern: '^\\S+$' })
const integerSetting = (
  description: string,
  minimum: number,
  maximum: number,
  defaultValue?: number
) =>
  Type.Optional(
    Type.Integer({
      rule: `must be a whole number from ${minimum} to ${maximum}`,
      description,
      minimum,
      maximum,
      ...(defaultValue === undefined ? {} : { default: defaultValue })
    })
  )

const clientSettings = (id: string, title: string, note: string) => ({
  [`${id}_OAUTH_CLIENT_ID`]: wordSetting(
    `Client id of the ${title} app in the Atlassian developer console. ${note}`
  ),
  [`${id}_OAUTH_CLIENT_SECRET`]: wordSetting(`Its secret. ${note}`),
  [`${id}_OAUTH_REDIRECT_URI`]: textSetting(
    'must be an https address (http only for localhost) without fragment',
    `Exactly the callback address registered there. ${note}`,
    { format: 'redirect-uri' }
  ),
  [`${id}_OAUTH_SCOPES`]: textSetting(
    'must be scope names separated by spaces',
    `Scopes to ask for, instead of the ones this service needs. Every one must be enabled on the ${title} app.`,
    { pattern: '^[\\w.:-]+( +[\\w.:-]+)*$' }
  )
})

/**
 * Every setting, in the order of `.env.example` (a test compares the two). `rule` is what a person is told when the
 * value does not fit; it never contains the value.
 */
export const Env = Type.Object({
  APP_ENV: textSetting(
    'must be development, test or production',
    'development, test or production. Unset: development, on loopback only.',
    { pattern: '^(development|test|production)$' }
  ),
  DEV_MODE: textSetting(
    'must be true or false',
    'true means development, whatever APP_ENV leaves open.',
    { format: 'flag' }
  ),
  HOST: textSetting(
    'must be a host name or an IP address',
    'Address to listen on. Default: 127.0.0.1 in development, 0.0.0.0 in production.',
    { pattern: '^[\\w.:%-]+$' }
  ),
  PORT: integerSetting('Port to listen on.', 0, 65535, 3001),
  LOG_LEVEL: textSetting(
    'must be DEBUG, INFO, WARNING, ERROR or CRITICAL (or TRACE, SILENT)',
    'How much to log, in any case of letters.',
    { format: 'log-level', default: 'INFO' }
  ),
  INTEGRATION_DB_URL: textSetting(
    'must be sqlite:///path, sqlite:////absolute/path, sqlite::memory: or postgres://…',
    'Where data is kept. Three slashes: relative to the working directory; four: absolute.',
    { format: 'database-url', default: 'sqlite:///./integration.db' }
  ),
  DB_AUTO_MIGRATE: textSetting(
    'must be true or false',
    'Whether a start brings the tables up to date. false: it refuses to start where they are behind, and npm run db:migrate does it.',
    { format: 'flag', default: 'true' }
  ),
  DB_POOL_SIZE: integerSetting('PostgreSQL: connections each instance keeps at most.', 1, 200, 10),
  DB_STATEMENT_TIMEOUT_MS: integerSetting(
    'PostgreSQL: how long one statement may take, in milliseconds.',
    100,
    600_000,
    10_000
  ),
  DB_LOCK_TIMEOUT_MS: integerSetting(
    'PostgreSQL: how long a statement waits for a lock, in milliseconds.',
    10,
    60_000,
    3_000
  ),
  DB_REQUIRE_DURABLE: textSetting(
    'must be true or false',
    'PostgreSQL: whether a server is refused that runs with fsync or synchronous_commit off, which may lose what it has acknowledged.',
    { format: 'flag', default: 'true' }
  ),
  VAULT_KEYS: textSetting(
    '',
    'Keys that seal the tokens: id:base64 of 32 bytes, comma-separated; the first one writes, all of them read. Required in production; development makes a key file.',
    { format: 'keyring' }
  ),
  VAULT_KEYS_FILE: textSetting('', 'A file with the same content, instead of VAULT_KEYS.'),
  API_ACCESS: textSetting(
    'must be public or protected',
    'public: everybody who reaches the service may call it. protected: callers send a service key or a token. Default: public in development, protected in production.',
    { pattern: '^(public|protected)$' }
  ),
  API_DOCS: textSetting(
    'must be open or closed',
    'Whether /docs and /openapi.json answer. Default: open in development, closed in production.',
    { pattern: '^(open|closed)$' }
  ),
  BOOTSTRAP_API_KEY: textSetting(
    'must be ck_ and at least 32 more letters, digits, - or _, as random as openssl rand makes them',
    'A first service key with the scope admin, made at the start where it is not there yet.',
    { format: 'api-key' }
  ),
  JWT_ISSUER: textSetting(
    'must be text without spaces',
    'Who signs the tokens of people who call directly (iss). With it come JWT_AUDIENCE and JWT_JWKS_URL or JWT_PUBLIC_KEY.',
    { pattern: '^\\S+$' }
  ),
  JWT_AUDIENCE: textSetting(
    'must be text without spaces',
    'Whom those tokens are for (aud): this service.',
    { pattern: '^\\S+$' }
  ),
  JWT_JWKS_URL: textSetting(
    'must be an https address (http only for localhost) without fragment',
    'Where their signer publishes its keys.',
    { format: 'redirect-uri' }
  ),
  JWT_PUBLIC_KEY: textSetting(
    'must be a public key in PEM (RSA from 2048 bits, P-256 or Ed25519); \\n stands for a line break',
    'Its one key, instead of JWT_JWKS_URL.',
    { format: 'public-key' }
  ),
  APP_FRONTEND_URL: urlSetting(
    "The front end's address; browsers return to its /oauth/… pages. Unset: this service's own pages. Also NEXT_PUBLIC_APP_FRONTEND_URL, NEXT_PUBLIC_FRONTEND_BASE_URL."
  ),
  PUBLIC_URL: urlSetting(
    'The address browsers reach this service under, with the path prefix if a proxy adds one. Also PUBLIC_BASE_URL.'
  ),
  BACKEND_CORS_ORIGINS: textSetting(
    'must be origins such as https://app.example.com, comma-separated, or *',
    'Origins whose scripts may call this service. Unset: all in development, none in production.',
    { format: 'origins' }
  ),
  TRUST_PROXY: textSetting(
    'must be IP addresses, CIDR ranges or loopback, linklocal, uniquelocal, comma-separated',
    'Proxies whose X-Forwarded-… headers are believed. Unset: none.',
    { format: 'addresses' }
  ),
  RATE_LIMIT: integerSetting(
    'Requests a minute of one key, person or connect session; of one IP address where nobody is known. 0: no limit. Default: 600 in production, else 0.',
    0,
    1_000_000
  ),
  RATE_LIMIT_LOGIN: integerSetting(
    'The same for starting logins, for callbacks and for links of connect sessions. Default: 120 in production, else 0.',
    0,
    1_000_000
  ),
  RATE_LIMIT_REFUSED: integerSetting(
    'Wrong credentials and paths that do not exist a minute of one IP address. 0: no limit. Default: 120 in production, else 0.',
    0,
    1_000_000
  ),
  OVERLOAD_AFTER_MS: integerSetting(
    'Milliseconds that a request may wait for its turn, or for PostgreSQL, before it is refused with 503. 0: all are kept waiting. Default: 300 in production, else 0.',
    0,
    60_000
  ),
  MAX_OPEN_LOGINS: integerSetting(
    'Logins under way of one person, connect session or IP address; where there are more, the oldest is forgotten.',
    1,
    100_000,
    100
  ),
  ATLASSIAN_CLOUD_BASE_URL: urlSetting(
    "Your team's site, shown as base_url until a site is connected. Also NEXT_PUBLIC_ATLASSIAN_CLOUD_BASE_URL."
  ),
  ATLASSIAN_AUTH_URL: urlSetting('Where consent and tokens come from.', {
    default: 'https://auth.atlassian.com'
  }),
  ATLASSIAN_API_URL: urlSetting('The API gateway.', { default: 'https://api.atlassian.com' }),
  UPSTREAM_CONNECT_TIMEOUT_MS: integerSetting(
    'How long to wait for a connection to Atlassian, in milliseconds.',
    1,
    20_000,
    10_000
  ),
  UPSTREAM_ANSWER_TIMEOUT_MS: integerSetting(
    'How long to wait for a whole answer from Atlassian, in milliseconds.',
    1,
    30_000,
    20_000
  ),
  ATLASSIAN_HOURLY_POINTS: integerSetting(
    "Points the app may spend in an hour, over all sites: Atlassian's quota. Copies leave the last tenth to requests that somebody waits for.",
    100,
    100_000_000,
    65_000
  ),
  SYNC_INTERVAL: integerSetting(
    'Minutes after which every connection is copied again, incrementally. 0: only on request.',
    0,
    10_080,
    15
  ),
  SYNC_FULL_INTERVAL: integerSetting(
    'Hours after which a copy reads everything again, which finds deletions and what search missed.',
    1,
    720,
    24
  ),
  SYNC_CONCURRENCY: integerSetting('Runs under way at once in one process.', 1, 100, 4),
  SYNC_SHRINK_PERCENT: integerSetting(
    'A full listing that is shorter than the one before by more than this deletes nothing until it is confirmed or the next one agrees.',
    0,
    100,
    20
  ),
  SYNC_HISTORY_DAYS: integerSetting('Days that ended runs are kept.', 1, 3650, 30),
  TOMBSTONE_DAYS: integerSetting('Days that deletions are kept for the change feed.', 1, 3650, 30),
  AUDIT_RETENTION_DAYS: integerSetting(
    'Days that rows of the audit trail are kept. 0: for ever.',
    0,
    36_500,
    365
  ),
  PERSONAL_DATA_REPORTING: textSetting(
    'must be true or false',
    'Whether Atlassian is told whose accounts are kept, and accounts that were closed there are erased here. The scope report:personal-data has to be enabled on the apps; logins then ask for it.',
    { format: 'flag', default: 'false' }
  ),
  ...(clientSettings(
    'JIRA',
    PRODUCT_TITLES.jira,
    'Also the ATLASSIAN_… and NEXT_PUBLIC_… names listed in docs/settings.md.'
  ) as JiraEnv),
  ...(clientSettings(
    'CONFLUENCE',
    PRODUCT_TITLES.confluence,
    "Unset: Jira's (docs/settings.md has the order)."
  ) as ConfluenceEnv)
})

type TextSetting = ReturnType<typeof textSetting>
type ClientEnv<Id extends string> = Record<
  `${Id}_OAUTH_${'CLIENT_ID' | 'CLIENT_SECRET' | 'REDIRECT_URI' | 'SCOPES'}`,
  TextSetting
>
type JiraEnv = ClientEnv<'JIRA'>
type ConfluenceEnv = ClientEnv<'CONFLUENCE'>

export type Env = Static<typeof Env>
export type Setting = keyof Env

/** The formats the schema names, for whichever validator reads it. */
export const SETTING_FORMATS: Record<string, (value: string) => boolean> = {
  flag: (value) => /^(true|false|1|0)$/i.test(value),
  'log-level': (value) => value.toUpperCase() in LOG_LEVELS,
  'database-url': isDatabaseUrl,
  'web-url': isHttpBaseUrl,
  'redirect-uri': isSecureRedirect,
  origins: isOriginList,
  addresses: isAddressList,
  'api-key': isApiKey,
  'public-key': isPublicKey,
  keyring: (value) => parseKeyring(value).problems === undefined
}

/** The names of the original (Python's) levels and pino's own, to pino's. */
export const LOG_LEVELS: Record<string, string> = {
  TRACE: 'trace',
  DEBUG: 'debug',
  INFO: 'info',
  WARN: 'warn',
  WARNING: 'warn',
  ERROR: 'error',
  CRITICAL: 'fatal',
  FATAL: 'fatal',
  SILENT: 'silent'
}
