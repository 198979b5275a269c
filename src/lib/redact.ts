const REDACTED = '[redacted]'

/**
 * Names whose values are never logged, in any spelling of case, dash and underscore
 * (docs/reference/contract.md#6-request-ids-and-logs).
 */
const SECRET_NAMES = [
  'code',
  'state',
  'token',
  'ticket',
  'access_token',
  'refresh_token',
  'id_token',
  'client_secret',
  'authorization',
  'cookie',
  'set-cookie'
]
const SECRET_KEYS = new Set(SECRET_NAMES.map(normalizeName))
const SECRET_NAME_SPELLINGS = SECRET_NAMES.map((name) => name.replace(/[-_]/, '[-_]?')).join('|')
const PARAMETER_PATTERN = new RegExp(
  `(?:(?<!\\w)|(?<=%[0-9A-F]{2}))(${SECRET_NAME_SPELLINGS}|app_state)(=|%(?:25){0,3}3D)[^&\\s"'\\\\#;<>]*`,
  'gi'
)
const QUOTED_SECRET_PATTERN = new RegExp(
  `(\\\\{0,8}["'])(${SECRET_NAME_SPELLINGS})\\1(\\s*:\\s*)\\1(?!\\[redacted])[^"'\\\\]*`,
  'gi'
)
/**
 * `refresh_token: abc`, as people and `util.inspect` write it. `code` and `state` are excluded:
 * in prose they mean other things.
 */
const PROSE_SECRET_PATTERN = new RegExp(
  String.raw`\b((?:access|refresh|id)[-_]?token|client[-_]?secret)` +
    String.raw`(\s*:\s*(?:'|"(?=[\w.~+/=-]))?)(?!\[redacted])[^\s'"\\,;}\]]+`,
  'gi'
)
/** A header line in prose, to the end of the line. */
const HEADER_PATTERN = /\b(authorization|(?:set[-_]?)?cookie)(\s*:\s*)[^"'\\\r\n]+/gi
const CREDENTIAL_PATTERN = /\b(Bearer|Basic)(\s+|%20)[\w.~+/=%-]+/gi
/** Secrets issued by this service have a recognisable prefix. */
const OWN_SECRET_PATTERN = /\b(?:jc)?c[ks]_[\w-]{20,}/g
const JWT_PATTERN = /eyJ[\w-]{8,}(\.[\w-]*){0,4}/g
/**
 * Error codes of programs: `ECONNRESET`, `access_denied`. Any other value under that name may be
 * a secret.
 */
const ERROR_CODE_PATTERN = /^([A-Z][A-Z0-9_]{1,63}|[a-z]+(_[a-z]+){1,8})$/
const SUSPICIOUS_PATTERN = new RegExp(
  `=|%(?:25){0,3}3D|eyJ|c[ks]_|earer|asic|(?:${SECRET_NAME_SPELLINGS}|cookie)["'\\\\]{0,9}\\s*:`,
  'i'
)

/**
 * Names that end in a secret name: not every code is secret (`status_code`), but every token is.
 */
const COMPOUND_NAME_PATTERN = new RegExp(
  [
    '(^|[^a-z])(tokens?|secrets?|passwords?|cookies?|codes)$',
    '[a-z](Token|Secret|Password|Cookie)s?$',
    '(oauth|auth|authori[sz]ation)[-_]?code$'
  ].join('|'),
  'i'
)
const secretNameCache = new Map<string, boolean>()

const MAX_DEPTH = 6
const MAX_ENTRIES = 50
const MAX_TEXT_CHARS = 2_000
/** Characters that one object may add to a line, before escaping. */
const MAX_OBJECT_CHARS = 8_000

/** Masks secret parameters, bearer credentials and JWTs anywhere in a text. */
export function redactText(text: string): string {
  if (!SUSPICIOUS_PATTERN.test(text)) return text
  return text
    .replace(PARAMETER_PATTERN, `$1$2${REDACTED}`)
    .replace(QUOTED_SECRET_PATTERN, `$1$2$1$3$1${REDACTED}`)
    .replace(PROSE_SECRET_PATTERN, `$1$2${REDACTED}`)
    .replace(HEADER_PATTERN, `$1$2${REDACTED}`)
    .replace(CREDENTIAL_PATTERN, `$1 ${REDACTED}`)
    .replace(JWT_PATTERN, REDACTED)
    .replace(OWN_SECRET_PATTERN, REDACTED)
}

/** Whether a text may contain a secret: a registered one, or what `redactText` looks for. */
export function isSuspicious(secrets: ReadonlySet<string>, text: string): boolean {
  if (SUSPICIOUS_PATTERN.test(text)) return true
  for (const secret of secrets) if (text.includes(secret)) return true
  return false
}

/** Removes the registered secrets from a text. */
export function removeSecrets(secrets: ReadonlySet<string>, text: string): string {
  let redacted = text
  for (const secret of secrets) {
    if (redacted.includes(secret)) redacted = redacted.replaceAll(secret, REDACTED)
  }
  return redacted
}

/**
 * Whether the value of a key or parameter must be masked; also `code[]`, `refresh_token[0]`,
 * `user_token`, `oauth_code`.
 */
export function isSecretName(name: string): boolean {
  let isSecret = secretNameCache.get(name)
  if (isSecret === undefined) {
    isSecret =
      COMPOUND_NAME_PATTERN.test(name) ||
      name.split(/[^A-Za-z0-9_-]+/).some((part) => SECRET_KEYS.has(normalizeName(part)))
    // Callers choose these names, so the cache is bounded in number and length.
    if (secretNameCache.size < 1_000 && name.length < 64) secretNameCache.set(name, isSecret)
  }
  return isSecret
}

/** The encoded forms in which a configured secret could reach a line. */
export function getEncodedForms(secret: string): string[] {
  if (secret.length < 6) return []
  const bytes = Buffer.from(secret, 'utf8')
  const jsonEscaped = JSON.stringify(secret).slice(1, -1)
  const doubleEscaped = JSON.stringify(jsonEscaped).slice(1, -1)
  return [
    ...new Set([
      secret,
      jsonEscaped,
      doubleEscaped,
      encodeURIComponent(secret),
      bytes.toString('base64').replace(/={1,2}$/, ''),
      bytes.toString('base64url'),
      bytes.toString('hex')
    ])
  ]
}

/**
 * Returns a plain, bounded, printable copy of any object, including cycles, throwing getters,
 * streams, buffers and huge texts. Never throws.
 */
export function sanitize(
  fields: object,
  secrets: ReadonlySet<string> = NO_SECRETS
): Record<string, unknown> {
  const copy = toPlainValue(fields, secrets)
  if (typeof copy !== 'object' || copy === null || Array.isArray(copy)) return { value: copy }
  return isError(fields) ? { err: copy } : (copy as Record<string, unknown>)
}

/** The same for any value, at the top level of a line or in a message. */
export function toPlainValue(value: unknown, secrets: ReadonlySet<string> = NO_SECRETS): unknown {
  return new Sanitizer(secrets).sanitizeValue(value, 0)
}

function isError(value: object): boolean {
  try {
    return value instanceof Error
  } catch {
    return false
  }
}

const NO_SECRETS: ReadonlySet<string> = new Set()

class Sanitizer {
  remainingChars = MAX_OBJECT_CHARS
  readonly secrets: ReadonlySet<string>
  readonly ancestors = new Set<object>()

  constructor(secrets: ReadonlySet<string>) {
    this.secrets = secrets
  }

  sanitizeEntries(object: object, depth: number): Record<string, unknown> {
    const copy: Record<string, unknown> = {}
    let keys: string[]
    try {
      keys = Object.keys(object)
    } catch {
      return { unreadable: true }
    }
    for (const key of keys.slice(0, MAX_ENTRIES)) {
      const name = this.sanitizeText(key)
      copy[name] = isSecretName(key)
        ? REDACTED
        : this.sanitizeValue(readProperty(object, key), depth + 1)
    }
    if (keys.length > MAX_ENTRIES) copy['…'] = keys.length - MAX_ENTRIES
    return copy
  }

  sanitizeValue(value: unknown, depth: number): unknown {
    if (typeof value === 'string') return this.sanitizeText(value)
    if (
      typeof value === 'number' ||
      typeof value === 'boolean' ||
      value === null ||
      value === undefined
    ) {
      return value
    }
    if (typeof value === 'bigint') {
      return this.sanitizeText(value.toString().slice(0, MAX_TEXT_CHARS))
    }
    if (typeof value !== 'object') return `[${typeof value}]`
    if (this.ancestors.has(value)) return '[circular]'
    if (depth > MAX_DEPTH || this.remainingChars <= 0) return '[cut]'
    this.ancestors.add(value)
    try {
      return this.sanitizeObject(value, depth)
    } catch {
      return '[unreadable]'
    } finally {
      this.ancestors.delete(value)
    }
  }

  sanitizeObject(value: object, depth: number): unknown {
    if (value instanceof Error) return this.sanitizeError(value, depth)
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
    if (value instanceof URL) return this.sanitizeText(value.href)
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
      return `[${value.byteLength} bytes]`
    }
    if (Array.isArray(value)) {
      return value.slice(0, MAX_ENTRIES).map((entry) => this.sanitizeValue(entry, depth + 1))
    }
    return this.sanitizeEntries(value, depth)
  }

  /**
   * An error's own `code` is logged as `error_code`: under `code` it would be masked as an
   * authorization code.
   */
  sanitizeError(error: Error, depth: number): Record<string, unknown> {
    const { code, status } = error as { code?: unknown; status?: unknown }
    return {
      type: this.sanitizeText(String(error.name)),
      message: this.sanitizeText(String(error.message)),
      ...(typeof code === 'number' || (typeof code === 'string' && ERROR_CODE_PATTERN.test(code))
        ? { error_code: code }
        : {}),
      ...(typeof status === 'number' ? { status } : {}),
      stack: this.sanitizeText(String(error.stack), 2 * MAX_TEXT_CHARS),
      ...(error.cause === undefined ? {} : { cause: this.sanitizeValue(error.cause, depth + 1) })
    }
  }

  sanitizeText(text: string, maxChars = MAX_TEXT_CHARS): string {
    const charLimit = Math.max(0, Math.min(maxChars, this.remainingChars))
    // Searched a little further than shown, so that a secret at the cut is found whole.
    const redacted = removeSecrets(this.secrets, redactText(text.slice(0, charLimit + 500))).slice(
      0,
      charLimit
    )
    this.remainingChars -= redacted.length
    return text.length > charLimit ? `${redacted}…` : redacted
  }
}

function readProperty(object: object, key: string): unknown {
  try {
    return (object as Record<string, unknown>)[key]
  } catch {
    return '[unreadable]'
  }
}

function normalizeName(name: string): string {
  return name.toLowerCase().replace(/[-_]/g, '')
}
