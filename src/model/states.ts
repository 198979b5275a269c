/**
 * What a grant is good for.
 *
 * - `active`: its tokens work, as far as anybody knows.
 * - `degraded`: Atlassian could not be asked, or had trouble; the next try is known, and nobody has to do anything.
 * - `misconfigured`: Atlassian rejects this service's client id or secret; the operator has to act, people have not.
 * - `needs_reconnect`: only a new consent helps.
 */
export type GrantState = 'active' | 'degraded' | 'misconfigured' | 'needs_reconnect'

/** What stands between a connection and its copies, the grant aside. */
export type LocalState = 'active' | 'needs_site' | 'scope_missing'

export type ConnectionState = GrantState | LocalState

/**
 * What a connection is, all in all: what nobody but a person or an operator can mend comes before what passes by itself.
 * `history.ts` says the same in SQL.
 */
export function combineStates(grant: GrantState, local: LocalState): ConnectionState {
  if (grant === 'needs_reconnect' || grant === 'misconfigured') return grant
  if (local === 'needs_site') return local
  return grant === 'degraded' ? grant : local
}
