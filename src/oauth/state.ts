import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

/** 256 bits, 43 characters of base64url: nobody guesses it (RFC 6749 section 10.12). */
export function randomToken(): string {
  return randomBytes(32).toString('base64url')
}

/** What is stored of a state, a code or a browser's key. */
export function sha256(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url')
}

/** Whether two hashes are the same. How long it takes tells nothing of where they differ; secrets themselves are never compared (T30). */
export function equalHashes(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}

/** Whom a caller's state names: nobody, somebody, or something that cannot be a user. */
export type UserHint = { userId: number } | { email: string } | 'unusable' | undefined

/**
 * Reads the user hint out of the caller's own state
 * (docs/reference/contract.md#4-login-and-callback): JSON with `user_id` or `email`, a query string
 * with `user_id`, `uid` or `email`, or `user_id:…`, `uid:…`, `email:…`.
 */
export function parseUserHint(callerState: string | null): UserHint {
  if (callerState === null) return undefined
  const fields =
    parseJsonHint(callerState) ?? parsePairHint(callerState) ?? parseQueryHint(callerState)
  const userId = fields.user_id ?? fields.uid
  if (userId !== undefined) {
    return /^[1-9]\d{0,15}$/.test(userId) && Number.isSafeInteger(Number(userId))
      ? { userId: Number(userId) }
      : 'unusable'
  }
  return fields.email === undefined ? undefined : { email: fields.email }
}

type HintFields = { [name in 'user_id' | 'uid' | 'email']?: string | undefined }

function parseJsonHint(text: string): HintFields | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    const readField = (name: string) =>
      Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
    // Neither text nor number: it names somebody, but nobody who can exist.
    const toText = (field: unknown) =>
      field === undefined || field === null
        ? undefined
        : typeof field === 'string' || typeof field === 'number'
          ? String(field)
          : ''
    return { user_id: toText(readField('user_id')), email: toText(readField('email')) }
  } catch {
    return undefined
  }
}

function parsePairHint(text: string): HintFields | undefined {
  const [, name, value] = /^(user_id|uid|email):(.*)$/s.exec(text) ?? []
  return name === undefined ? undefined : { [name]: value }
}

function parseQueryHint(text: string): HintFields {
  const query = new URLSearchParams(text)
  return {
    user_id: query.get('user_id') ?? undefined,
    uid: query.get('uid') ?? undefined,
    email: query.get('email') ?? undefined
  }
}
