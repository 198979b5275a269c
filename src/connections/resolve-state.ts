import type { Provider } from '../providers/provider.ts'
import type { Connection } from '../store/repositories/connections.ts'
import type { StateReason } from '../store/repositories/connection-history.ts'
import type { Site } from '../model/site.ts'
import type { LocalState } from '../model/states.ts'
import { evaluateFeatures, explainMissingScopes } from './features.ts'

/** The connection's own state, ignoring the grant: selected sites, state and reason. */
export interface ResolvedState {
  selectedSites: Site[]
  state: LocalState
  reason: StateReason | null
}

/**
 * Resolves which sites of a grant a connection syncs. A single site needs no choice; of several,
 * none is chosen by default; and a chosen site that is gone is not replaced by another
 * (docs/reference/atlassian.md#51-accessible-resources).
 *
 * @param requestedSites the sites synced so far, or requested now
 */
export function resolveConnectionState(
  provider: Provider,
  scopes: readonly string[],
  { sites, refusedFeatures }: Pick<Connection, 'sites' | 'refusedFeatures'>,
  requestedSites: readonly Site[]
): ResolvedState {
  const [only, ...others] = sites
  if (requestedSites.length === 0) {
    const siteReason =
      only === undefined
        ? noSiteReason(provider)
        : others.length > 0
          ? severalSitesReason(provider, sites)
          : null
    if (siteReason !== null) return { selectedSites: [], state: 'needs_site', reason: siteReason }
  }
  const selectedSites =
    requestedSites.length > 0
      ? requestedSites.map((site) => sites.find(({ cloudId }) => cloudId === site.cloudId) ?? site)
      : sites.slice(0, 1)
  const removedSites = selectedSites.filter(
    ({ cloudId }) => !sites.some((site) => site.cloudId === cloudId)
  )
  if (removedSites.length > 0) {
    return { selectedSites, state: 'needs_site', reason: siteRemovedReason(provider, removedSites) }
  }
  const reason = explainMissingScopes(
    provider,
    evaluateFeatures(provider, scopes, { refusedFeatures })
  )
  return { selectedSites, state: reason === null ? 'active' : 'scope_missing', reason }
}

function noSiteReason({ title }: Provider): StateReason {
  return {
    code: 'needs_site',
    detail: `The consent reaches no site with ${title}. Connect again and choose one.`
  }
}

function severalSitesReason({ id, title }: Provider, sites: readonly Site[]): StateReason {
  return {
    code: 'needs_site',
    detail:
      `The consent reaches ${sites.length} sites with ${title}. ` +
      `Choose with PUT /users/{user_id}/connections/${id}/site.`
  }
}

function siteRemovedReason({ id }: Provider, removedSites: readonly Site[]): StateReason {
  const sites =
    removedSites.length === 1 ? 'a site that was' : `${removedSites.length} sites that were`
  return {
    code: 'site_removed',
    detail:
      `The consent no longer reaches ${sites} chosen. Connect again to restore access, ` +
      `or choose others with PUT /users/{user_id}/connections/${id}/site.`
  }
}
