import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

/** 256 bits, 43 characters of base64url: nobody guesses it (RFC 6749 section 10.12). */
export function issueSecret(): string {
  return randomBytes(32).toString('base64url')
}

/** What is stored of a state, a code or a browser's key. */
export function hash(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url')
}

/** Whether two hashes are the same. How long it takes tells nothing of where they differ; secrets themselves are never compared (T30). */
export function isSameHash(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}

/** Whom a caller's state names: nobody, somebody, or something that cannot be a user. */
export type Hint = { userId: number } | { email: string } | 'unusable' | undefined

/**
 * Reads the user hint out of the caller's own state (contract.md section 4): JSON with `user_id` or `email`, a query
 * string with `user_id`, `uid` or `email`, or `user_id:…`, `uid:…`, `email:…`.
 */
export function readHint(callerState: string | null): Hint {
  if (callerState === null) return undefined
  const fields = fromJson(callerState) ?? fromPair(callerState) ?? fromQuery(callerState)
  const userId = fields.user_id ?? fields.uid
  if (userId !== undefined) {
    return /^[1-9]\d{0,15}$/.test(userId) && Number.isSafeInteger(Number(userId))
      ? { userId: Number(userId) }
      : 'unusable'
  }
  return fields.email === undefined ? undefined : { email: fields.email }
}

type Fields = Partial<Record<'user_id' | 'uid' | 'email', string>>

function fromJson(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    const own = (name: string) =>
      Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
    // Neither text nor number: it names somebody, but nobody who can exist.
    const shown = (field: unknown) =>
      field === undefined || field === null
        ? undefined
        : typeof field === 'string' || typeof field === 'number'
          ? String(field)
          : ''
    return { user_id: shown(own('user_id')), email: shown(own('email')) }
  } catch {
    return undefined
  }
}

function fromPair(text: string): Fields | undefined {
  const [, name, value] = /^(user_id|uid|email):(.*)$/s.exec(text) ?? []
  return name === undefined ? undefined : { [name]: value }
}

function fromQuery(text: string): Fields {
  const query = new URLSearchParams(text)
  return {
    user_id: query.get('user_id') ?? undefined,
    uid: query.get('uid') ?? undefined,
    email: query.get('email') ?? undefined
  }
}
