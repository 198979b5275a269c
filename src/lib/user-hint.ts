/** The user that a caller's state names: none, one by id or address, or `invalid` where no user can match. */
export type UserHint = { userId: number } | { email: string } | 'invalid' | undefined

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
      : 'invalid'
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
    // A value that is neither text nor number names a user who cannot exist.
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
