/** What a service key may be allowed to do. `admin` may do everything. */
export const SCOPES = [
  'users:read',
  'users:write',
  'connections:read',
  'connections:write',
  'data:read',
  'data:write',
  'sync:read',
  'sync:write',
  'admin'
] as const
export type Scope = (typeof SCOPES)[number]

/** Where a request says whose things it is about. `itself`: nowhere; it is about whoever asks. */
export type OwnerSource =
  'params.user_id' | 'params.owner_id' | 'query.owner_id' | 'body.owner_id' | 'caller'

/**
 * Who may call a route. `open`: everybody. `docs`: everybody where the description is open. Else a key with the scope, and where
 * `owner` says whose things it is about, also that person; where `session` is set, a connect session of that person too.
 */
export type AccessRule = 'open' | 'docs' | { scope: Scope; owner?: OwnerSource; session?: boolean }

/** Who asks. */
export type Principal =
  | { kind: 'key'; id: number; name: string; scopes: readonly Scope[] }
  | { kind: 'user'; userId: number }
  | {
      kind: 'session'
      id: number
      userId: number
      products: readonly string[]
      returnUrl: string | null
    }
  /** Somebody unknown, where everybody may ask. */
  | { kind: 'anonymous' }

/** The one user whose things the caller may see and change; undefined for who speaks for all of them. */
export function restrictedUserId(principal: Principal): number | undefined {
  return 'userId' in principal ? principal.userId : undefined
}

/** Whether a caller may use a route at all; whose things it is about is asked later. */
export function isAllowed(principal: Principal, rule: Exclude<AccessRule, string>): boolean {
  if (principal.kind === 'anonymous') return true
  if (principal.kind === 'key') {
    return principal.scopes.includes(rule.scope) || principal.scopes.includes('admin')
  }
  return rule.owner !== undefined && (principal.kind === 'user' || rule.session === true)
}

/** Whom a request is about, as its `owner` place has it; undefined where it does not say. */
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
