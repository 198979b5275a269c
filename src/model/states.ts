/**
 * The state of a grant.
 *
 * - `active`: its tokens work, as far as known.
 * - `degraded`: Atlassian did not respond or failed; the next attempt is scheduled, and nobody
 *   needs to act.
 * - `misconfigured`: Atlassian rejects this service's client id or secret; the operator must
 *   act, users need not.
 * - `needs_reconnect`: only a new consent helps.
 */
export type GrantState = 'active' | 'degraded' | 'misconfigured' | 'needs_reconnect'

/** A connection's own state, apart from the state of its grant. */
export type LocalState = 'active' | 'needs_site' | 'scope_missing'

export type ConnectionState = GrantState | LocalState

export const CONNECTION_STATES = [
  'active',
  'degraded',
  'misconfigured',
  'needs_reconnect',
  'needs_site',
  'scope_missing'
] as const satisfies readonly ConnectionState[]

/**
 * Combines both states. The first of these that applies wins: `needs_reconnect` or `misconfigured`,
 * `needs_site`, `degraded`, `scope_missing`, `active`. The same rule in SQL is in
 * src/store/repositories/combined-state.ts.
 */
export function combineStates(grant: GrantState, local: LocalState): ConnectionState {
  if (grant === 'needs_reconnect' || grant === 'misconfigured') return grant
  if (local === 'needs_site') return local
  return grant === 'degraded' ? grant : local
}

/**
 * How complete the copy of a collection is.
 *
 * - `never`: nothing was ever copied.
 * - `copying`: the first listing of a site is not complete, and a run is active.
 * - `complete`: every site was listed to its end.
 * - `partial`: items failed, or a site was not listed to its end and no run is active.
 * - `held`: items may be gone at Atlassian; their deletion waits for a decision.
 */
export const SYNC_STATES = ['never', 'copying', 'complete', 'partial', 'held'] as const
export type SyncState = (typeof SYNC_STATES)[number]
