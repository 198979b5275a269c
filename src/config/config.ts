import { StartError } from '../lib/errors.ts'
import type { ProviderId } from '../model/products.ts'
import type { EngineOptions } from '../store/engine.ts'
import type { JwtSettings } from '../access/jwt.ts'
import { splitList, unescapePem } from './formats.ts'
import { findTypos, type ResolvedSettings } from './aliases.ts'
import { Env, LOG_LEVELS, type Setting } from './schema.ts'

export const SETTINGS = Object.keys(Env.properties) as Setting[]
const MINUTE_MS = 60_000
const MISSING_KEYS_MESSAGE =
  'VAULT_KEYS or VAULT_KEYS_FILE is required in production (a key is an id, a colon and 32 random bytes in base64, as from openssl rand -base64 32).'

/** One OAuth client as configured; null where a value is missing. */
export interface ClientSettings {
  clientId: string | null
  clientSecret: string | null
  redirectUri: string | null
  /** Replaces the product's own scopes. */
  scopes: readonly string[] | null
  /** The variable each value came from. */
  sources: { client_id: string | null; client_secret: string | null; redirect_uri: string | null }
}

/** The settings, understood. Nothing below ever reads the environment. */
export interface Config {
  production: boolean
  /** True when nobody said which mode this is. */
  modeDefaulted: boolean
  host: string
  port: number
  logLevel: string
  databaseUrl: string
  /** How that database is opened. */
  database: Omit<EngineOptions, 'onAvailabilityChange'>
  vaultKeys: string | null
  vaultKeysFile: string | null
  /** Whether everybody may call. */
  publicAccess: boolean
  publicDocs: boolean
  bootstrapKey: string | null
  /** null: people have no tokens of their own. */
  jwt: JwtSettings | null
  frontendUrl: string | null
  publicUrl: string | null
  /** null: every origin (development only). */
  corsOrigins: readonly string[] | null
  trustProxy: readonly string[]
  limits: LimitsConfig
  cloudBaseUrl: string | null
  authUrl: string
  apiUrl: string
  connectTimeoutMs: number
  answerTimeoutMs: number
  /** Points an app may spend in an hour. */
  hourlyPoints: number
  sync: SyncConfig
  /** Days that rows of the audit trail are kept; 0: for ever. */
  auditRetentionDays: number
  /** Whether Atlassian is told whose accounts are kept. */
  personalDataReporting: boolean
  clients: Record<ProviderId, ClientSettings>
  warnings: string[]
}

/** How much one caller may ask for in a minute; 0: as much as it likes. */
export interface LimitsConfig {
  requestsPerMinute: number
  loginsPerMinute: number
  refusedPerMinute: number
  /** Of requests in one turn of the event loop; 0: nothing is refused. */
  overloadAfterMs: number
  /** Logins that are kept of one caller. */
  maxOpenLogins: number
}

/** How copies are kept. */
export interface SyncConfig {
  intervalMs: number
  fullIntervalMs: number
  concurrency: number
  maxShrinkRatio: number
  historyDays: number
  tombstoneDays: number
}

/**
 * What a schema cannot see: settings that contradict each other, and names that are nearly ours.
 *
 * @returns one sentence for each problem, naming the variable
 */
export function findConflicts(env: NodeJS.ProcessEnv, { values }: ResolvedSettings): string[] {
  const production = isProduction(values)
  return [
    ...(values.APP_ENV === 'production' && isTrue(values.DEV_MODE)
      ? ['APP_ENV=production and DEV_MODE=true contradict each other; remove one.']
      : []),
    ...(production && values.VAULT_KEYS === undefined && values.VAULT_KEYS_FILE === undefined
      ? [MISSING_KEYS_MESSAGE]
      : []),
    ...(values.VAULT_KEYS !== undefined && values.VAULT_KEYS_FILE !== undefined
      ? ['VAULT_KEYS and VAULT_KEYS_FILE are both set; keep one.']
      : []),
    ...findJwtConflicts(values),
    ...describeTypos(env, SETTINGS)
  ]
}

/** Tokens of people need to be known by signer, audience and exactly one source of keys. */
function findJwtConflicts(values: ResolvedSettings['values']): string[] {
  const [configuredKeys, configured] = [
    ['JWT_JWKS_URL', 'JWT_PUBLIC_KEY'],
    ['JWT_ISSUER', 'JWT_AUDIENCE', 'JWT_JWKS_URL', 'JWT_PUBLIC_KEY']
  ].map((names) => names.filter((name) => values[name as Setting] !== undefined)) as [
    string[],
    string[]
  ]
  if (configured.length === 0) return []
  const missing = ['JWT_ISSUER', 'JWT_AUDIENCE'].filter(
    (name) => values[name as Setting] === undefined
  )
  return [
    ...missing.map(
      (name) => `${name} is missing, and ${configured.join(' and ')} cannot do without it.`
    ),
    ...(configuredKeys.length === 0
      ? ['JWT_JWKS_URL or JWT_PUBLIC_KEY is missing, and JWT_ISSUER cannot do without one of them.']
      : []),
    ...(configuredKeys.length === 2
      ? ['JWT_JWKS_URL and JWT_PUBLIC_KEY are both set; keep one.']
      : [])
  ]
}

/** A sentence for each variable that is nearly one of these settings. */
export function describeTypos(env: NodeJS.ProcessEnv, settings: readonly Setting[]): string[] {
  return findTypos(env, settings).map(
    ({ variable, suggestion }) =>
      `${variable} is not a setting of this service; did you mean ${suggestion}?`
  )
}

/** Turns validated settings into what the rest of the service reads. */
export function toConfig(env: Env, resolved: ResolvedSettings): Config {
  const { values, sources } = resolved
  const production = isProduction(values)
  const origins = env.BACKEND_CORS_ORIGINS
  return {
    modeDefaulted: env.APP_ENV === undefined && !isTrue(env.DEV_MODE),
    host: env.HOST ?? (production ? '0.0.0.0' : '127.0.0.1'),
    port: env.PORT ?? 3001,
    logLevel: LOG_LEVELS[(env.LOG_LEVEL ?? '').toUpperCase()] ?? 'info',
    databaseUrl: env.INTEGRATION_DB_URL ?? '',
    database: {
      autoMigrate: isTrue(env.DB_AUTO_MIGRATE),
      poolSize: env.DB_POOL_SIZE ?? 1,
      statementTimeoutMs: env.DB_STATEMENT_TIMEOUT_MS ?? 0,
      lockTimeoutMs: env.DB_LOCK_TIMEOUT_MS ?? 0,
      requireDurability: isTrue(env.DB_REQUIRE_DURABLE)
    },
    ...selectKeySettings(resolved),
    publicAccess: (env.API_ACCESS ?? (production ? 'protected' : 'public')) === 'public',
    publicDocs: (env.API_DOCS ?? (production ? 'closed' : 'open')) === 'open',
    bootstrapKey: env.BOOTSTRAP_API_KEY ?? null,
    jwt:
      env.JWT_ISSUER === undefined
        ? null
        : {
            issuer: env.JWT_ISSUER,
            audience: env.JWT_AUDIENCE ?? '',
            jwksUrl: env.JWT_JWKS_URL ?? null,
            publicKey: env.JWT_PUBLIC_KEY === undefined ? null : unescapePem(env.JWT_PUBLIC_KEY)
          },
    frontendUrl: trimTrailingSlash(env.APP_FRONTEND_URL),
    publicUrl: trimTrailingSlash(env.PUBLIC_URL),
    corsOrigins:
      origins === '*' || (origins === undefined && !production) ? null : splitList(origins ?? ''),
    trustProxy: splitList(env.TRUST_PROXY ?? ''),
    limits: {
      requestsPerMinute: env.RATE_LIMIT ?? (production ? 600 : 0),
      loginsPerMinute: env.RATE_LIMIT_LOGIN ?? (production ? 120 : 0),
      refusedPerMinute: env.RATE_LIMIT_REFUSED ?? (production ? 120 : 0),
      overloadAfterMs: env.OVERLOAD_AFTER_MS ?? (production ? 300 : 0),
      maxOpenLogins: env.MAX_OPEN_LOGINS ?? 0
    },
    cloudBaseUrl: trimTrailingSlash(env.ATLASSIAN_CLOUD_BASE_URL),
    authUrl: trimTrailingSlash(env.ATLASSIAN_AUTH_URL) ?? '',
    apiUrl: trimTrailingSlash(env.ATLASSIAN_API_URL) ?? '',
    connectTimeoutMs: env.UPSTREAM_CONNECT_TIMEOUT_MS ?? 0,
    answerTimeoutMs: env.UPSTREAM_ANSWER_TIMEOUT_MS ?? 0,
    hourlyPoints: env.ATLASSIAN_HOURLY_POINTS ?? 0,
    auditRetentionDays: env.AUDIT_RETENTION_DAYS ?? 0,
    personalDataReporting: isTrue(env.PERSONAL_DATA_REPORTING),
    sync: {
      intervalMs: (env.SYNC_INTERVAL ?? 0) * MINUTE_MS,
      fullIntervalMs: (env.SYNC_FULL_INTERVAL ?? 0) * 60 * MINUTE_MS,
      concurrency: env.SYNC_CONCURRENCY ?? 1,
      maxShrinkRatio: (env.SYNC_SHRINK_PERCENT ?? 0) / 100,
      historyDays: env.SYNC_HISTORY_DAYS ?? 0,
      tombstoneDays: env.TOMBSTONE_DAYS ?? 0
    },
    clients: {
      jira: toClientSettings('JIRA', env, sources),
      confluence: toClientSettings('CONFLUENCE', env, sources)
    },
    warnings: Object.values(sources)
      .filter((name) => /^NEXT_PUBLIC_.*SECRET$/.test(name))
      .filter((name, i, all) => all.indexOf(name) === i)
      .map(
        (name) =>
          `${name} holds a secret under a name that front-end builds publish to browsers; rename it and replace the secret.`
      )
  }
}

/** What the keys come from, before the other settings are known to be right. */
export function selectKeySettings({
  values
}: ResolvedSettings): Pick<Config, 'vaultKeys' | 'vaultKeysFile' | 'production'> {
  return {
    vaultKeys: values.VAULT_KEYS ?? null,
    vaultKeysFile: values.VAULT_KEYS === undefined ? (values.VAULT_KEYS_FILE ?? null) : null,
    production: isProduction(values)
  }
}

/** The values that must never appear in a log line, beside the vault's keys, which are hidden where they are read. */
export function collectSecrets({ clients, databaseUrl, bootstrapKey }: Config): string[] {
  const password = URL.parse(databaseUrl)?.password ?? ''
  const passwordForms = password === '' ? [] : [password, decodeURIComponent(password)]
  return [
    ...Object.values(clients)
      .map(({ clientSecret }) => clientSecret)
      .filter((value) => value !== null),
    ...passwordForms,
    ...(bootstrapKey === null ? [] : [bootstrapKey])
  ]
}

/** All problems of a start together: exit code 78 (EX_CONFIG). */
export function createConfigError(problems: string[]): StartError {
  return new StartError(problems, 78)
}

function toClientSettings(
  prefix: 'JIRA' | 'CONFLUENCE',
  env: Env,
  sources: ResolvedSettings['sources']
): ClientSettings {
  const value = (field: 'CLIENT_ID' | 'CLIENT_SECRET' | 'REDIRECT_URI' | 'SCOPES') =>
    env[`${prefix}_OAUTH_${field}`] ?? null
  const getSource = (field: 'CLIENT_ID' | 'CLIENT_SECRET' | 'REDIRECT_URI') =>
    sources[`${prefix}_OAUTH_${field}`] ?? null
  return {
    clientId: value('CLIENT_ID'),
    clientSecret: value('CLIENT_SECRET'),
    redirectUri: value('REDIRECT_URI'),
    scopes: value('SCOPES')?.split(/ +/) ?? null,
    sources: {
      client_id: getSource('CLIENT_ID'),
      client_secret: getSource('CLIENT_SECRET'),
      redirect_uri: getSource('REDIRECT_URI')
    }
  }
}

/** As browsers and headers spell it, without a trailing slash, so that paths can be appended. */
function trimTrailingSlash(url: string | undefined): string | null {
  return url === undefined ? null : new URL(url).href.replace(/(?<!\/)\/+$/, '')
}

function isTrue(flag: string | undefined): boolean {
  return /^(true|1)$/i.test(flag ?? '')
}

function isProduction(values: ResolvedSettings['values']): boolean {
  return values.APP_ENV === 'production' && !isTrue(values.DEV_MODE)
}
