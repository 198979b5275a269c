import type { SandboxState } from '../state.ts'

export function readStats({ stats, grants, limits }: SandboxState) {
  return { ...stats.snapshot(), family_revocations: grants.countReuses(), points: limits.points() }
}

export function readState(state: SandboxState) {
  return {
    now: new Date(state.now()).toISOString(),
    seed: state.seed,
    index_lag_ms: state.indexLagMs(),
    sites: state.sites.map(
      ({ name, cloudId, url, sizes, products, projects, issues, spaces, pages }) => ({
        name,
        cloudId,
        url,
        products,
        sizes,
        added: {
          projects: projects.end() - sizes.projects,
          issues: issues.end() - sizes.issues,
          spaces: spaces.end() - sizes.spaces,
          pages: pages.end() - sizes.pages
        }
      })
    ),
    users: state.users.map(({ accountId, name, nickname, timeZone }) => ({
      account_id: accountId,
      name,
      nickname,
      time_zone: timeZone
    })),
    clients: [...state.clients.values()].map(({ id, name, access, scopes }) => ({
      client_id: id,
      name,
      access,
      scopes
    })),
    grants: [...state.grants.list()].map(({ clientId, accountId, scopes, cloudIds, families }) => ({
      client_id: clientId,
      account_id: accountId,
      scopes,
      sites: [...cloudIds],
      families: families.size
    })),
    faults: state.faults.list().length
  }
}
