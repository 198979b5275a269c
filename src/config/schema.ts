import { Type, type Static, type TObject } from '@sinclair/typebox'
import type { Provider } from '../providers/provider.ts'
import { parseKeyring } from '../vault/keyring.ts'
import { createClientSettings, type ClientSetting } from './client-settings.ts'
import {
  ALLOWANCES,
  isAddressList,
  isAnchorUrl,
  isBootstrapKey,
  isDatabaseUrl,
  isOriginList,
  isProxyUrl,
  isPublicKey,
  isSecureRedirect,
  isHttpBaseUrl,
  LOG_LEVELS
} from './formats.ts'
import { SYNC_SETTINGS } from './sync-schema.ts'
import { integerSetting, textSetting, urlSetting } from './setting.ts'

/**
 * Every setting, in the order of `.env.example` (a test compares the two). `rule` is the message for an
 * invalid value; it never contains the value.
 */
export const SERVICE_SETTINGS = {
  APP_ENV: textSetting(
    'must be development, test or production',
    'Mode. Unset: development, listening on loopback only.',
    { pattern: '^(development|test|production)$' }
  ),
  DEV_MODE: textSetting(
    'must be true or false',
    'true selects development. It contradicts APP_ENV=production.',
    { format: 'flag' }
  ),
  HOST: textSetting(
    'must be a host name or an IP address',
    'Address to listen on. Default: 127.0.0.1 in development, 0.0.0.0 in production. ' +
      'localhost means 127.0.0.1.',
    { pattern: '^[\\w.:%-]+$' }
  ),
  PORT: integerSetting('Port to listen on.', 0, 65535, 3001),
  LOG_LEVEL: textSetting(
    'must be DEBUG, INFO, WARNING, ERROR or CRITICAL (or TRACE, SILENT)',
    'Log level, in any case.',
    { format: 'log-level' },
    'INFO'
  ),
  LOG_CLIENT_ADDRESS: textSetting(
    'must be full, network or none',
    "How much of a client's IP address request lines contain. network: without the last part " +
      '(IPv4 /24, IPv6 /48). none: nothing, also of X-Forwarded-For and X-Real-IP.',
    { pattern: '^(full|network|none)$' },
    'network'
  ),
  LOG_SYNC: textSetting(
    'must be true or false',
    'true writes each log line before the program goes on; false writes the lines of a few milliseconds ' +
      'together (docs/operations/logs.md#what-a-crash-loses).',
    { format: 'flag' },
    'false'
  ),
  SHUTDOWN_DELAY: integerSetting(
    'Seconds for which a stopping service reports 503 on /healthz and still accepts requests. ' +
      'Default: 3 in production, else 0.',
    0,
    300
  ),
  SHUTDOWN_GRACE: integerSetting(
    'Seconds after SHUTDOWN_DELAY within which open requests are answered; then they are cut. Give the ' +
      'service manager two seconds more than both together.',
    0,
    600,
    5
  ),
  INTEGRATION_DB_URL: textSetting(
    'must be sqlite:///path, sqlite:////absolute/path, sqlite::memory: or postgres://…',
    'Database. Three slashes: a path relative to the working directory; four: an absolute path.',
    { format: 'database-url' },
    'sqlite:///./integration.db'
  ),
  DB_AUTO_MIGRATE: textSetting(
    'must be true or false',
    'Whether a start migrates the tables. false: it refuses older tables (see `connector db migrate`).',
    { format: 'flag' },
    'true'
  ),
  DB_POOL_SIZE: integerSetting(
    'PostgreSQL: maximum number of connections per instance.',
    1,
    200,
    10
  ),
  DB_STATEMENT_TIMEOUT_MS: integerSetting(
    'PostgreSQL: timeout of a statement, in milliseconds.',
    100,
    600_000,
    10_000
  ),
  DB_LOCK_TIMEOUT_MS: integerSetting(
    'PostgreSQL: timeout of waiting for a lock, in milliseconds.',
    10,
    60_000,
    3_000
  ),
  DB_REQUIRE_DURABLE: textSetting(
    'must be true or false',
    'PostgreSQL: refuse a server with fsync or synchronous_commit off, which can lose acknowledged writes.',
    { format: 'flag' },
    'true'
  ),
  VAULT_KEYS: textSetting(
    '',
    'Encryption keys for tokens: id:base64 of 32 bytes, comma-separated. All decrypt; the database ' +
      'says which one encrypts, at first the first one (docs/operations/rotate-a-key.md). ' +
      'Required in production; development creates a key file.',
    { format: 'keyring' }
  ),
  VAULT_KEYS_FILE: textSetting(
    '',
    'File with the same content, instead of VAULT_KEYS. SIGHUP reads it again.'
  ),
  API_ACCESS: textSetting(
    'must be public or protected',
    'Who may call. public: everybody. protected: callers with a service key or a token. ' +
      'Default: public in development, protected in production.',
    { pattern: '^(public|protected)$' }
  ),
  API_DOCS: textSetting(
    'must be open or closed',
    'Whether /docs and /openapi.json are served. Default: open in development, closed in production.',
    { pattern: '^(open|closed)$' }
  ),
  BOOTSTRAP_API_KEY: textSetting(
    'must be ck_ and at least 32 more letters, digits, - or _, as random as openssl rand makes them',
    'First service key, with the scope admin, created at start if it does not exist.',
    { format: 'bootstrap-key' }
  ),
  API_KEY_MAX_DAYS: integerSetting(
    'Age in days from which a service key is refused, whenever it was to expire; 0: no limit.',
    0,
    3650,
    0
  ),
  JWT_ISSUER: textSetting(
    'must be text without spaces',
    'Issuer (iss) of the tokens of people who call directly. ' +
      'Requires JWT_AUDIENCE and JWT_JWKS_URL or JWT_PUBLIC_KEY.',
    { pattern: '^\\S+$' }
  ),
  JWT_AUDIENCE: textSetting(
    'must be text without spaces',
    'Audience (aud) of those tokens: this service.',
    { pattern: '^\\S+$' }
  ),
  JWT_JWKS_URL: textSetting(
    'must be an https address (http only for localhost) without fragment',
    'URL of the published keys of the issuer.',
    { format: 'redirect-uri' }
  ),
  JWT_PUBLIC_KEY: textSetting(
    'must be a public key in PEM (RSA from 2048 bits, P-256 or Ed25519); \\n stands for a line break',
    'The one key of the issuer, instead of JWT_JWKS_URL.',
    { format: 'public-key' }
  ),
  JWT_MAX_LIFETIME_S: integerSetting(
    'Longest lifetime of those tokens, in seconds.',
    60,
    31_536_000,
    86_400
  ),
  APP_FRONTEND_URL: urlSetting(
    "Base URL of the front end. Browsers return to its /oauth/… pages. Unset: the service's own pages. " +
      'Also NEXT_PUBLIC_APP_FRONTEND_URL, NEXT_PUBLIC_FRONTEND_BASE_URL.'
  ),
  PUBLIC_URL: urlSetting(
    'Base URL of this service as browsers see it, with the path prefix of a proxy. Also PUBLIC_BASE_URL.'
  ),
  BACKEND_CORS_ORIGINS: textSetting(
    'must be origins such as https://app.example.com, comma-separated, or *',
    'CORS origins. Unset: none in production; in development all, or loopback with an Atlassian app.',
    { format: 'origins' }
  ),
  ALLOWED_HOSTS: textSetting(
    'must be host names without port, comma-separated',
    'Further host names that the service answers, besides those of PUBLIC_URL and the redirect URIs. ' +
      'Development with an Atlassian app answers only these and loopback names.',
    { pattern: '^ *[\\w.-]+( *, *[\\w.-]+)* *$' }
  ),
  ALLOW_INSECURE: textSetting(
    `must be some of ${ALLOWANCES.join(', ')}, comma-separated`,
    'What production accepts although it is insecure. Each is logged at start.',
    { pattern: `^ *(${ALLOWANCES.join('|')})( *, *(${ALLOWANCES.join('|')}))* *$` }
  ),
  TRUST_PROXY: textSetting(
    'must be IP addresses, CIDR ranges or loopback, linklocal, uniquelocal, comma-separated',
    'Proxies whose X-Forwarded-… headers are trusted. Unset: none.',
    { format: 'addresses' }
  ),
  RATE_LIMIT: integerSetting(
    'Requests per minute of one key, person or connect session, or of one IP address without a credential. ' +
      '0: no limit. Default: 600 in production, else 0.',
    0,
    1_000_000
  ),
  RATE_LIMIT_LOGIN: integerSetting(
    'Logins, callbacks and connect links per minute, counted the same way. ' +
      'Default: 120 in production, else 0.',
    0,
    1_000_000
  ),
  RATE_LIMIT_REFUSED: integerSetting(
    'Wrong credentials and unknown paths per minute of one IP address. ' +
      '0: no limit. Default: 120 in production, else 0.',
    0,
    1_000_000
  ),
  OVERLOAD_AFTER_MS: integerSetting(
    'A request that would have to wait longer than this under load, in milliseconds, is refused at once ' +
      'with 503. 0: no limit. Default: 300 in production, else 0.',
    0,
    60_000
  ),
  MAX_CONNECTIONS_PER_ADDRESS: integerSetting(
    'Open connections of one IP address (IPv6: one /64 network); further ones are closed. Addresses in ' +
      'TRUST_PROXY have no limit. 0: no limit. Default: 500 in production, else 0.',
    0,
    20_000
  ),
  MAX_OPEN_LOGINS: integerSetting(
    'Maximum number of open logins of one person, connect session or IP address. ' +
      'One more replaces the oldest, or the oldest twentieth.',
    1,
    100_000,
    100
  ),
  CONSENT_EMAIL_MISMATCH: textSetting(
    'must be allow, flag or refuse',
    'What happens if the Atlassian account of a consent has another email address than the user, or shows ' +
      'none. flag: the log and the audit trail say so. refuse: the consent is not stored.',
    { pattern: '^(allow|flag|refuse)$' },
    'allow'
  ),
  ...SYNC_SETTINGS
}

/** What the environment must satisfy: the settings of the service, then those of each product's client. */
export function createEnvSchema(providers: readonly Provider[]): TObject {
  const schema =
    schemas.get(providers) ??
    Type.Object({
      ...SERVICE_SETTINGS,
      ...Object.assign({}, ...providers.map(createClientSettings))
    })
  schemas.set(providers, schema)
  return schema
}

const schemas = new WeakMap<readonly Provider[], TObject>()

/** The settings of a schema, in its order. */
export function listSettings(schema: TObject): Setting[] {
  return Object.keys(schema.properties) as Setting[]
}

export type Env = Static<TObject<typeof SERVICE_SETTINGS>> & Partial<Record<ClientSetting, string>>
export type Setting = keyof typeof SERVICE_SETTINGS | ClientSetting

/** The formats the schema names, for whichever validator reads it. */
export const SETTING_FORMATS: Record<string, (value: string) => boolean> = {
  flag: (value) => /^(true|false|1|0)$/i.test(value),
  'log-level': (value) => value.toUpperCase() in LOG_LEVELS,
  'database-url': isDatabaseUrl,
  'web-url': isHttpBaseUrl,
  'anchor-url': isAnchorUrl,
  'proxy-url': isProxyUrl,
  'redirect-uri': isSecureRedirect,
  origins: isOriginList,
  addresses: isAddressList,
  'bootstrap-key': isBootstrapKey,
  'public-key': isPublicKey,
  keyring: (value) => parseKeyring(value).problems === undefined
}
