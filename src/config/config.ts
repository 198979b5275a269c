import type { JwtSettings } from '../access/jwt.ts'
import { StartError } from '../lib/errors.ts'
import type { Provider } from '../providers/provider.ts'
import type { EngineOptions } from '../store/engine.ts'
import type { ResolvedSettings } from './aliases.ts'
import { toClientSettings, type ClientSettings } from './client-settings.ts'
import { selectExposure, type Exposure } from './exposure.ts'
import { LOG_LEVELS, splitList, toProxyUrl, unescapePem } from './formats.ts'
import { isProduction, isTrue } from './mode.ts'
import { describePublishedSecrets } from './published-secrets.ts'
import type { Env } from './schema.ts'

export type { ClientSettings }

const MINUTE_MS = 60_000

/** The settings as the service uses them. Nothing else reads the environment. */
export interface Config extends Exposure {
  production: boolean
  /** True where neither APP_ENV nor DEV_MODE selects the mode. */
  modeDefaulted: boolean
  port: number
  logLevel: string
  logClientAddress: ClientAddressMode
  logSync: boolean
  databaseUrl: string
  /** How to open that database. */
  database: Omit<EngineOptions, 'onAvailabilityChange' | 'onMigrated' | 'itemTables'>
  vaultKeys: string | null
  vaultKeysFile: string | null
  /** Whether calls need no credential. */
  publicAccess: boolean
  publicDocs: boolean
  bootstrapKey: string | null
  /** Age from which service keys are refused; 0: none. */
  maxKeyAgeMs: number
  /** null: the service accepts no JWTs. */
  jwt: JwtSettings | null
  frontendUrl: string | null
  publicUrl: string | null
  trustProxy: readonly string[]
  limits: LimitsConfig
  /** How the service stops. */
  shutdown: { delayMs: number; graceMs: number }
  consentEmailMismatch: ConsentEmailMismatch
  cloudBaseUrl: string | null
  authUrl: string
  apiUrl: string
  connectTimeoutMs: number
  answerTimeoutMs: number
  /** The proxy for https requests, and the hosts that are reached without it; null: none. */
  proxy: { url: URL; excludedHosts: string } | null
  /** Atlassian's hourly quota of the app, in points. */
  hourlyPoints: number
  sync: SyncConfig
  /** Days that audit entries are stored; 0: for ever. */
  auditRetentionDays: number
  /** Where the end of the audit trail is sent; null: nowhere. */
  auditAnchor: { url: URL; token: string | null; isBlocking: boolean } | null
  /** Whether the service reports stored accounts to Atlassian. */
  personalDataReporting: boolean
  /** By the id of the product; `getClientSettings` reads one. */
  clients: Readonly<Record<string, ClientSettings>>
  warnings: string[]
}

/** How much of a client's IP address log lines contain. */
export type ClientAddressMode = 'full' | 'network' | 'none'

/** What to do with the consent of an account whose address differs from the user's. */
type ConsentEmailMismatch = 'allow' | 'flag' | 'refuse'

/** Limits of one caller; 0: no limit. */
interface LimitsConfig {
  requestsPerMinute: number
  loginsPerMinute: number
  refusedPerMinute: number
  /** A request that would have to wait longer under load is refused; 0: no limit. */
  overloadAfterMs: number
  /** Open connections of one IP address; 0: no limit. */
  connectionsPerAddress: number
  /** Maximum number of open logins. */
  maxOpenLogins: number
}

/** How the service syncs and how long it stores the history. */
interface SyncConfig {
  intervalMs: number
  listIntervalMs: number
  fullIntervalMs: number
  fullCooldownMs: number
  concurrency: number
  /** Part of a collection by which a full listing may shrink before its deletions are held. */
  maxShrinkRatio: number
  historyDays: number
  tombstoneDays: number
}

/** Converts validated settings into what the rest of the service reads. */
export function toConfig(
  env: Env,
  resolved: ResolvedSettings,
  providers: readonly Provider[]
): Config {
  const { values, sources } = resolved
  const production = isProduction(values)
  return {
    production,
    modeDefaulted: env.APP_ENV === undefined && !isTrue(env.DEV_MODE),
    port: env.PORT,
    logLevel: LOG_LEVELS[env.LOG_LEVEL.toUpperCase()] ?? 'info',
    logClientAddress: env.LOG_CLIENT_ADDRESS as ClientAddressMode,
    logSync: isTrue(env.LOG_SYNC),
    databaseUrl: env.INTEGRATION_DB_URL,
    database: {
      autoMigrate: isTrue(env.DB_AUTO_MIGRATE),
      poolSize: env.DB_POOL_SIZE,
      statementTimeoutMs: env.DB_STATEMENT_TIMEOUT_MS,
      lockTimeoutMs: env.DB_LOCK_TIMEOUT_MS,
      requireDurability: isTrue(env.DB_REQUIRE_DURABLE)
    },
    ...selectKeySettings(resolved),
    publicAccess: (env.API_ACCESS ?? (production ? 'protected' : 'public')) === 'public',
    publicDocs: (env.API_DOCS ?? (production ? 'closed' : 'open')) === 'open',
    bootstrapKey: env.BOOTSTRAP_API_KEY ?? null,
    maxKeyAgeMs: env.API_KEY_MAX_DAYS * 24 * 60 * MINUTE_MS,
    jwt:
      env.JWT_ISSUER === undefined
        ? null
        : {
            issuer: env.JWT_ISSUER,
            audience: env.JWT_AUDIENCE ?? '',
            jwksUrl: env.JWT_JWKS_URL ?? null,
            publicKey: env.JWT_PUBLIC_KEY === undefined ? null : unescapePem(env.JWT_PUBLIC_KEY),
            maxLifetimeS: env.JWT_MAX_LIFETIME_S
          },
    frontendUrl: normalizeOptionalUrl(env.APP_FRONTEND_URL),
    publicUrl: normalizeOptionalUrl(env.PUBLIC_URL),
    ...selectExposure(env, resolved),
    trustProxy: splitList(env.TRUST_PROXY ?? ''),
    limits: {
      requestsPerMinute: env.RATE_LIMIT ?? (production ? 600 : 0),
      loginsPerMinute: env.RATE_LIMIT_LOGIN ?? (production ? 120 : 0),
      refusedPerMinute: env.RATE_LIMIT_REFUSED ?? (production ? 120 : 0),
      overloadAfterMs: env.OVERLOAD_AFTER_MS ?? (production ? 300 : 0),
      connectionsPerAddress: env.MAX_CONNECTIONS_PER_ADDRESS ?? (production ? 500 : 0),
      maxOpenLogins: env.MAX_OPEN_LOGINS
    },
    shutdown: {
      delayMs: (env.SHUTDOWN_DELAY ?? (production ? 3 : 0)) * 1000,
      graceMs: env.SHUTDOWN_GRACE * 1000
    },
    consentEmailMismatch: env.CONSENT_EMAIL_MISMATCH as ConsentEmailMismatch,
    cloudBaseUrl: normalizeOptionalUrl(env.ATLASSIAN_CLOUD_BASE_URL),
    authUrl: normalizeUrl(env.ATLASSIAN_AUTH_URL),
    apiUrl: normalizeUrl(env.ATLASSIAN_API_URL),
    connectTimeoutMs: env.UPSTREAM_CONNECT_TIMEOUT_MS,
    answerTimeoutMs: env.UPSTREAM_ANSWER_TIMEOUT_MS,
    proxy: selectProxy(env),
    hourlyPoints: env.ATLASSIAN_HOURLY_POINTS,
    auditRetentionDays: env.AUDIT_RETENTION_DAYS,
    auditAnchor:
      env.AUDIT_ANCHOR_URL === undefined
        ? null
        : {
            url: new URL(env.AUDIT_ANCHOR_URL),
            token: env.AUDIT_ANCHOR_TOKEN ?? null,
            isBlocking: isTrue(env.AUDIT_ANCHOR_BLOCKING)
          },
    personalDataReporting: isTrue(env.PERSONAL_DATA_REPORTING),
    sync: {
      intervalMs: env.SYNC_INTERVAL * MINUTE_MS,
      listIntervalMs: env.SYNC_LIST_INTERVAL * 1000,
      fullIntervalMs: env.SYNC_FULL_INTERVAL * 60 * MINUTE_MS,
      fullCooldownMs: env.SYNC_FULL_COOLDOWN * MINUTE_MS,
      concurrency: env.SYNC_CONCURRENCY,
      maxShrinkRatio: env.SYNC_SHRINK_PERCENT / 100,
      historyDays: env.SYNC_HISTORY_DAYS,
      tombstoneDays: env.TOMBSTONE_DAYS
    },
    clients: Object.fromEntries(
      providers.map((provider) => [provider.id, toClientSettings(provider, env, sources)])
    ),
    warnings: describePublishedSecrets(sources)
  }
}

function selectProxy({ HTTPS_PROXY, NO_PROXY }: Env): Config['proxy'] {
  const url = toProxyUrl(HTTPS_PROXY ?? '')
  return url === null ? null : { url, excludedHosts: NO_PROXY ?? '' }
}

/** The OAuth client of a product. */
export function getClientSettings(
  { clients }: Pick<Config, 'clients'>,
  id: string
): ClientSettings {
  const settings = clients[id]
  if (settings === undefined) throw new Error(`No settings for the product ${id}.`)
  return settings
}

/** The settings of the vault's keys, which are read before the other settings are validated. */
export function selectKeySettings({
  values
}: ResolvedSettings): Pick<Config, 'vaultKeys' | 'vaultKeysFile'> {
  return {
    vaultKeys: values.VAULT_KEYS ?? null,
    vaultKeysFile: values.VAULT_KEYS === undefined ? (values.VAULT_KEYS_FILE ?? null) : null
  }
}

/** Values that logs must not contain. The vault's keys are not among them: their loader returns them. */
export function collectSecrets({
  clients,
  databaseUrl,
  bootstrapKey,
  auditAnchor,
  proxy
}: Config): string[] {
  return [
    ...Object.values(clients)
      .map(({ clientSecret }) => clientSecret)
      .filter((value) => value !== null),
    ...collectPasswords(URL.parse(databaseUrl)),
    ...collectPasswords(proxy?.url ?? null),
    ...[bootstrapKey, auditAnchor?.token ?? null].filter((value) => value !== null)
  ]
}

/** The password of a URL as it is written and as it is sent, also by HTTP Basic (RFC 7617). */
function collectPasswords(url: URL | null): string[] {
  if (url === null || url.password === '') return []
  const password = decodeURIComponent(url.password)
  const credentials = Buffer.from(`${decodeURIComponent(url.username)}:${password}`)
  return [url.password, password, credentials.toString('base64')]
}

/** All problems of a start together: exit code 78 (EX_CONFIG). */
export function createConfigError(problems: string[]): StartError {
  return new StartError(problems, 78)
}

/** The URL without a trailing slash, so that paths can be appended, with host and scheme in lower case. */
function normalizeUrl(url: string): string {
  return new URL(url).href.replace(/(?<!\/)\/+$/, '')
}

function normalizeOptionalUrl(url: string | undefined): string | null {
  return url === undefined ? null : normalizeUrl(url)
}
