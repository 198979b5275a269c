import type { Provider } from '../providers/provider.ts'
import type { Connection } from '../store/repositories/connections.ts'
import type { Reason } from '../store/repositories/connection-history.ts'
import type { Site } from '../model/site.ts'
import type { OwnState } from '../model/states.ts'
import { featuresOf, scopesMissing } from './features.ts'

/** What is between a connection and its copies, and why. */
export interface OwnStanding {
  bound: Site[]
  state: OwnState
  reason: Reason | null
}

/**
 * Which sites of a grant a connection copies. One site needs no choosing; of several none is ever "the first"; and a site
 * that was chosen and is gone is not replaced by another one (atlassian.md section 5.1).
 *
 * @param chosen the sites it copied before, or is asked to copy now
 */
export function standing(
  provider: Provider,
  scopes: readonly string[],
  { sites, refused }: Pick<Connection, 'sites' | 'refused'>,
  chosen: readonly Site[]
): OwnStanding {
  const [only, ...others] = sites
  if (chosen.length === 0) {
    const choice =
      only === undefined
        ? noSite(provider)
        : others.length > 0
          ? severalSites(provider, sites)
          : null
    if (choice !== null) return { bound: [], state: 'needs_site', reason: choice }
  }
  const bound =
    chosen.length > 0
      ? chosen.map((site) => sites.find(({ cloudId }) => cloudId === site.cloudId) ?? site)
      : sites.slice(0, 1)
  const gone = bound.filter(({ cloudId }) => !sites.some((site) => site.cloudId === cloudId))
  if (gone.length > 0) return { bound, state: 'needs_site', reason: siteGone(provider, gone) }
  const reason = scopesMissing(provider, featuresOf(provider, scopes, { refused }))
  return { bound, state: reason === null ? 'active' : 'scope_missing', reason }
}

function noSite({ title }: Provider): Reason {
  return {
    code: 'needs_site',
    detail: `The consent reaches no site with ${title}. Connect again and choose one.`
  }
}

function severalSites({ id, title }: Provider, sites: readonly Site[]): Reason {
  return {
    code: 'needs_site',
    detail: `The consent reaches ${sites.length} sites with ${title}. Choose with PUT /users/{user_id}/connections/${id}/site.`
  }
}

function siteGone({ id }: Provider, gone: readonly Site[]): Reason {
  return {
    code: 'site_removed',
    detail: `The consent no longer reaches ${gone.length === 1 ? 'a site that was' : `${gone.length} sites that were`} chosen. Connect again for it, or choose with PUT /users/{user_id}/connections/${id}/site.`
  }
}
