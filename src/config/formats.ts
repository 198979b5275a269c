import { createPublicKey } from 'node:crypto'
import { isIP } from 'node:net'
import { compile } from '@fastify/proxy-addr'
import { isIntactKey } from '../access/secrets.ts'

/**
 * Whether a host is loopback, by name or number: the only hosts for which Atlassian accepts http
 * (docs/reference/atlassian.md#15-redirect-uri).
 */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}

/** Whether an `Origin` header names a page of this machine. */
export function isLoopbackOrigin(origin: string): boolean {
  return isLoopback(URL.parse(origin)?.hostname ?? '')
}

/** An http(s) URL to which paths can be appended. */
export function isHttpBaseUrl(value: string): boolean {
  const url = parseHttpUrl(value)
  return (
    url !== undefined &&
    url.search === '' &&
    url.hash === '' &&
    !value.endsWith('?') &&
    !value.endsWith('#')
  )
}

/** A receiver of audit anchors: a token must not travel in plain text. */
export function isAnchorUrl(value: string): boolean {
  if (!value.startsWith('syslog+')) {
    const url = parseHttpUrl(value)
    return url !== undefined && (url.protocol === 'https:' || isLoopback(url.hostname))
  }
  return /^syslog\+(tls|tcp|udp):\/\/[^/?#@\s]+\/?$/.test(value) && URL.canParse(value)
}

/** A callback URL that can be registered with Atlassian. */
export function isSecureRedirect(value: string): boolean {
  const url = parseHttpUrl(value)
  return (
    url !== undefined &&
    !value.includes('#') &&
    (url.protocol === 'https:' || isLoopback(url.hostname))
  )
}

/** `*`, or origins separated by commas. */
export function isOriginList(value: string): boolean {
  return value === '*' || splitList(value).every((origin) => normalizeOrigin(origin) !== undefined)
}

/**
 * The origin as browsers send it: in lower case, without a default port and a trailing slash.
 *
 * @returns undefined for a value with a path, a query or credentials
 */
export function normalizeOrigin(value: string): string | undefined {
  const url = parseHttpUrl(value)
  return url !== undefined && `${url.origin}/` === url.href && !/[?#]$/.test(value)
    ? url.origin
    : undefined
}

/** The address of a proxy, with or without credentials; as in curl, without a scheme it is http. */
export function isProxyUrl(value: string): boolean {
  const url = toProxyUrl(value)
  try {
    // The credentials are sent decoded.
    return url !== null && [url.username, url.password].map(decodeURIComponent).length > 0
  } catch {
    return false
  }
}

/** @returns null if the value is no address of a proxy */
export function toProxyUrl(value: string): URL | null {
  if (/[\s\\\p{Cc}]/u.test(value)) return null
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`)
  const isPlain = url !== null && `${url.pathname}${url.search}${url.hash}` === '/'
  return isPlain && /^https?:$/.test(url.protocol) ? url : null
}

/**
 * Addresses, ranges, and the names `loopback`, `linklocal` and `uniquelocal`, as Fastify's
 * `trustProxy` accepts them. Hop
 * counts such as `1` are refused.
 */
export function isAddressList(value: string): boolean {
  try {
    compile(splitList(value))
    return splitList(value).every(
      (entry) => /^[a-z]+$/.test(entry) || isIP(entry.replace(/\/\d+$/, '')) !== 0
    )
  } catch {
    return false
  }
}

/**
 * A SQLite file, in-memory SQLite, or PostgreSQL, also in SQLAlchemy's spelling
 * (docs/reference/contract.md#2-settings).
 */
export function isDatabaseUrl(value: string): boolean {
  return (
    value === 'sqlite::memory:' || /^sqlite:\/\/\/[^?#\0]+$/.test(value) || isPostgresUrl(value)
  )
}

function isPostgresUrl(value: string): boolean {
  const url = /^postgres(ql)?(\+psycopg)?:\/\/[^\s/]/.test(value) ? URL.parse(value) : null
  try {
    // decodeURIComponent throws on a malformed escape such as `%zz`; the driver decodes these parts.
    return (
      url !== null && [url.username, url.password, url.pathname].map(decodeURIComponent).length > 0
    )
  } catch {
    return false
  }
}

const PLACEHOLDER_WORDS = /change.?me|password|secret|example|default|placeholder/i
/** 32 random base64url characters have more distinct ones, random hexadecimal digits nearly always. */
const MIN_DISTINCT_BYTES = 10

/** A value for BOOTSTRAP_API_KEY: long enough, and not repetitive, sequential or a placeholder. */
export function isBootstrapKey(value: string): boolean {
  if (!/^(jc)?ck_[\w-]{32,200}$/.test(value) || !isIntactKey(value)) return false
  const secret = value.slice(value.indexOf('_') + 1)
  const bytes = [...Buffer.from(secret)]
  const differences = bytes.slice(1).map((byte, i) => byte - (bytes[i] ?? 0))
  return (
    new Set(bytes).size >= MIN_DISTINCT_BYTES &&
    new Set(differences).size >= MIN_DISTINCT_BYTES &&
    !/^(.{1,100}?)\1+$/.test(secret) &&
    !PLACEHOLDER_WORDS.test(value)
  )
}

/** A public key that can verify JWTs (RFC 7518 section 3.1; RFC 8037). */
export function isPublicKey(value: string): boolean {
  try {
    const { type, asymmetricKeyType, asymmetricKeyDetails } = createPublicKey(unescapePem(value))
    if (type !== 'public' || /PRIVATE KEY/.test(value)) return false
    if (asymmetricKeyType === 'rsa') return (asymmetricKeyDetails?.modulusLength ?? 0) >= 2048
    return (
      asymmetricKeyType === 'ed25519' ||
      (asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve === 'prime256v1')
    )
  } catch {
    return false
  }
}

/** Restores line breaks in a PEM key, because settings are one line. */
export function unescapePem(value: string): string {
  return value.replaceAll('\\n', '\n')
}

/** Splits a comma-separated setting. */
export function splitList(value: string): string[] {
  return value
    .split(',')
    .map((entry) => entry.trim())
    .filter(Boolean)
}

function parseHttpUrl(value: string): URL | undefined {
  // URL parsers tolerate spaces, backslashes and control characters; in a setting they are
  // mistakes.
  if (!/^https?:\/\/(?!\/)[^\s\\\p{Cc}]+$/u.test(value)) return undefined
  const url = URL.parse(value)
  return url === null || url.username !== '' || url.password !== '' ? undefined : url
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

/** What ALLOW_INSECURE can permit, one word each. */
export const ALLOWANCES = [
  'http_atlassian',
  'http_frontend',
  'http_public',
  'no_limits',
  'any_origin',
  'readable_keys',
  'env_beside_database',
  'shared_folders'
] as const
export type Allowance = (typeof ALLOWANCES)[number]
