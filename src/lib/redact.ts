const REDACTED = '[redacted]'

/** The names whose values never leave, in any spelling of case, dash and underscore (contract.md section 6). */
const SECRET_NAMES = [
  'code',
  'state',
  'token',
  'access_token',
  'refresh_token',
  'id_token',
  'client_secret',
  'authorization',
  'cookie',
  'set-cookie'
]
const SECRET_KEYS = new Set(SECRET_NAMES.map(bare))
const SPELLINGS = SECRET_NAMES.map((name) => name.replace(/[-_]/, '[-_]?')).join('|')
const PARAMETER = new RegExp(
  `(?:(?<!\\w)|(?<=%[0-9A-F]{2}))(${SPELLINGS}|app_state)(=|%(?:25){0,3}3D)[^&\\s"'\\\\#;<>]*`,
  'gi'
)
const QUOTED = new RegExp(
  `(\\\\{0,8}["'])(${SPELLINGS})\\1(\\s*:\\s*)\\1(?!\\[redacted])[^"'\\\\]*`,
  'gi'
)
/** `refresh_token: abc`, as people and `util.inspect` write it. Codes and states are left: in prose they are other things. */
const PROSE =
  /\b((?:access|refresh|id)[-_]?token|client[-_]?secret)(\s*:\s*(?:'|"(?=[\w.~+/=-]))?)(?!\[redacted])[^\s'"\\,;}\]]+/gi
/** A header line in prose, to the end of the line. */
const HEADER = /\b(authorization|(?:set[-_]?)?cookie)(\s*:\s*)[^"'\\\r\n]+/gi
const CREDENTIAL = /\b(Bearer|Basic)(\s+|%20)[\w.~+/=%-]+/gi
/** This service's own secrets say what they are. */
const OWN = /\bc[ks]_[\w-]{20,}/g
const JWT = /eyJ[\w-]{8,}(\.[\w-]*){0,4}/g
/** How programs name their errors: `ECONNRESET`, `access_denied`. Anything else under that name may be a secret. */
const ERROR_CODE = /^([A-Z][A-Z0-9_]{1,63}|[a-z]+(_[a-z]+){1,8})$/
const SUSPICIOUS = new RegExp(
  `=|%(?:25){0,3}3D|eyJ|c[ks]_|earer|asic|(?:${SPELLINGS}|cookie)["'\\\\]{0,9}\\s*:`,
  'i'
)

/** Names that end in a secret's: not every code is one (`status_code`), but every token is. */
const COMPOUND =
  /(^|[^a-z])(tokens?|secrets?|passwords?|cookies?|codes)$|[a-z](Token|Secret|Password|Cookie)s?$|(oauth|auth|authori[sz]ation)[-_]?code$/i
const judged = new Map<string, boolean>()

const DEEPEST = 6
const MOST_ENTRIES = 50
const LONGEST_TEXT = 2_000
/** Characters that one object may bring into a line, before escaping. */
const BUDGET = 8_000

/** Masks secret parameters, bearer credentials and JWTs wherever they stand in a text. */
export function redactText(text: string): string {
  if (!SUSPICIOUS.test(text)) return text
  return text
    .replace(PARAMETER, `$1$2${REDACTED}`)
    .replace(QUOTED, `$1$2$1$3$1${REDACTED}`)
    .replace(PROSE, `$1$2${REDACTED}`)
    .replace(HEADER, `$1$2${REDACTED}`)
    .replace(CREDENTIAL, `$1 ${REDACTED}`)
    .replace(JWT, REDACTED)
    .replace(OWN, REDACTED)
}

/** The text without the hidden values. */
export function without(hidden: ReadonlySet<string>, text: string): string {
  let clean = text
  for (const secret of hidden) {
    if (clean.includes(secret)) clean = clean.replaceAll(secret, REDACTED)
  }
  return clean
}

/** True for a key or parameter whose value must not be shown: also `code[]`, `refresh_token[0]`, `user_token`, `oauth_code`. */
export function isSecretName(name: string): boolean {
  let known = judged.get(name)
  if (known === undefined) {
    known =
      COMPOUND.test(name) ||
      name.split(/[^A-Za-z0-9_-]+/).some((part) => SECRET_KEYS.has(bare(part)))
    // Strangers choose these names, so only so many, and no long ones, are remembered.
    if (judged.size < 1_000 && name.length < 64) judged.set(name, known)
  }
  return known
}

/** The forms in which a configured secret might slip into a line. */
export function variants(secret: string): string[] {
  if (secret.length < 6) return []
  const bytes = Buffer.from(secret, 'utf8')
  const quoted = JSON.stringify(secret).slice(1, -1)
  const twice = JSON.stringify(quoted).slice(1, -1)
  return [
    ...new Set([
      secret,
      quoted,
      twice,
      encodeURIComponent(secret),
      bytes.toString('base64').replace(/={1,2}$/, ''),
      bytes.toString('base64url'),
      bytes.toString('hex')
    ])
  ]
}

/**
 * A plain, bounded, printable copy of anything: cycles, getters that throw, streams, buffers and ten-megabyte texts
 * included. Never throws.
 */
export function sanitize(
  fields: object,
  hidden: ReadonlySet<string> = NOTHING
): Record<string, unknown> {
  const copy = plain(fields, hidden)
  if (typeof copy !== 'object' || copy === null || Array.isArray(copy)) return { value: copy }
  return isError(fields) ? { err: copy } : (copy as Record<string, unknown>)
}

/** The same for any value, at the top of a line or in a message. */
export function plain(value: unknown, hidden: ReadonlySet<string> = NOTHING): unknown {
  return new Walk(hidden).value(value, 0)
}

function isError(value: object): boolean {
  try {
    return value instanceof Error
  } catch {
    return false
  }
}

const NOTHING: ReadonlySet<string> = new Set()

class Walk {
  left = BUDGET
  readonly hidden: ReadonlySet<string>
  readonly above = new Set<object>()

  constructor(hidden: ReadonlySet<string>) {
    this.hidden = hidden
  }

  entries(object: object, depth: number): Record<string, unknown> {
    const copy: Record<string, unknown> = {}
    let keys: string[]
    try {
      keys = Object.keys(object)
    } catch {
      return { unreadable: true }
    }
    for (const key of keys.slice(0, MOST_ENTRIES)) {
      const name = this.text(key)
      copy[name] = isSecretName(key) ? REDACTED : this.value(read(object, key), depth + 1)
    }
    if (keys.length > MOST_ENTRIES) copy['…'] = keys.length - MOST_ENTRIES
    return copy
  }

  value(value: unknown, depth: number): unknown {
    if (typeof value === 'string') return this.text(value)
    if (
      typeof value === 'number' ||
      typeof value === 'boolean' ||
      value === null ||
      value === undefined
    ) {
      return value
    }
    if (typeof value === 'bigint') return this.text(value.toString().slice(0, LONGEST_TEXT))
    if (typeof value !== 'object') return `[${typeof value}]`
    if (this.above.has(value)) return '[circular]'
    if (depth > DEEPEST || this.left <= 0) return '[cut]'
    this.above.add(value)
    try {
      return this.object(value, depth)
    } catch {
      return '[unreadable]'
    } finally {
      this.above.delete(value)
    }
  }

  object(value: object, depth: number): unknown {
    if (value instanceof Error) return this.error(value, depth)
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
    if (value instanceof URL) return this.text(value.href)
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
      return `[${value.byteLength} bytes]`
    }
    if (Array.isArray(value)) {
      return value.slice(0, MOST_ENTRIES).map((entry) => this.value(entry, depth + 1))
    }
    return this.entries(value, depth)
  }

  /** `code` would be taken for an authorization code, so an error's own code is called `error_code`. */
  error(error: Error, depth: number): Record<string, unknown> {
    const { code, status } = error as { code?: unknown; status?: unknown }
    return {
      type: this.text(String(error.name)),
      message: this.text(String(error.message)),
      ...(typeof code === 'number' || (typeof code === 'string' && ERROR_CODE.test(code))
        ? { error_code: code }
        : {}),
      ...(typeof status === 'number' ? { status } : {}),
      stack: this.text(String(error.stack), 2 * LONGEST_TEXT),
      ...(error.cause === undefined ? {} : { cause: this.value(error.cause, depth + 1) })
    }
  }

  text(text: string, longest = LONGEST_TEXT): string {
    const room = Math.max(0, Math.min(longest, this.left))
    // Searched a little further than shown, so that a secret across the cut is found whole.
    const shown = without(this.hidden, redactText(text.slice(0, room + 500))).slice(0, room)
    this.left -= shown.length
    return text.length > room ? `${shown}…` : shown
  }
}

function read(object: object, key: string): unknown {
  try {
    return (object as Record<string, unknown>)[key]
  } catch {
    return '[unreadable]'
  }
}

function bare(name: string): string {
  return name.toLowerCase().replace(/[-_]/g, '')
}
