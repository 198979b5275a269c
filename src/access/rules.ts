/** Scopes of service keys. `admin` includes all others. */
export const SCOPES = [
  'users:read',
  'users:write',
  'connections:read',
  'connections:write',
  'data:read',
  'data:write',
  'sync:read',
  'sync:write',
  'personal-data:read',
  'keys:rotate',
  'admin'
] as const
export type Scope = (typeof SCOPES)[number]

/**
 * Where the owner id is in the request. `caller`: not in the request; the handler lets a user
 * reach only what belongs to that user.
 */
export type OwnerSource =
  'params.user_id' | 'params.owner_id' | 'query.owner_id' | 'body.owner_id' | 'caller'

/**
 * Who may call a route. `open`: everybody. `docs`: everybody if the API docs are open. Otherwise
 * a key with the scope; if `owner` is set, also that user; if `session` is set, also a connect
 * session of that user.
 */
export type AccessRule = 'open' | 'docs' | { scope: Scope; owner?: OwnerSource; session?: boolean }

/** A person with a token of the identity provider. */
export interface UserPrincipal {
  kind: 'user'
  userId: number
  /** When the token stops being accepted, in ms since the epoch. */
  expiresAt: number
}

/** The authenticated caller. */
export type Principal =
  | { kind: 'key'; id: number; name: string; scopes: readonly Scope[] }
  | UserPrincipal
  | {
      kind: 'session'
      id: number
      userId: number
      products: readonly string[]
      returnUrl: string | null
    }
  /** An anonymous caller in public mode. */
  | { kind: 'anonymous' }

/** The only user whose data the caller may access; undefined for a caller with access to all. */
export function restrictedUserId(principal: Principal): number | undefined {
  return 'userId' in principal ? principal.userId : undefined
}

/** Whether a caller acts for all users with this scope. */
export function hasScope(principal: Principal, scope: Scope): boolean {
  return (
    principal.kind === 'anonymous' ||
    (principal.kind === 'key' &&
      (principal.scopes.includes(scope) || principal.scopes.includes('admin')))
  )
}

/** Whether a caller may use a route at all. Ownership is checked afterwards. */
export function isAllowed(principal: Principal, rule: Exclude<AccessRule, string>): boolean {
  if (principal.kind === 'anonymous' || principal.kind === 'key') {
    return hasScope(principal, rule.scope)
  }
  return rule.owner !== undefined && (principal.kind === 'user' || rule.session === true)
}

/** The owner id in a request, read from where the rule says; undefined if absent. */
export function requestedOwner(
  source: OwnerSource,
  { params, query, body }: { params: unknown; query: unknown; body: unknown }
): number | undefined {
  const [part = '', name = ''] = source.split('.')
  const value = (
    { params, query, body } as Record<string, Record<string, unknown> | null | undefined>
  )[part]?.[name]
  return value === undefined ? undefined : Number(value)
}
