import { SERVICE, type Actor } from '../lib/actor.ts'
import { apiKeys } from './repositories/api-keys.ts'
import { audit } from './repositories/audit-log.ts'
import { budgets } from './repositories/rate-budgets.ts'
import { checkpoints } from './repositories/checkpoints.ts'
import { collection } from './repositories/items.ts'
import { connections } from './repositories/connections.ts'
import type { Engine } from './engine.ts'
import { feed } from './repositories/change-feed.ts'
import { flows } from './repositories/login-flows.ts'
import { grants } from './repositories/grants.ts'
import { history } from './repositories/connection-history.ts'
import { identities } from './repositories/identities.ts'
import { keys } from './repositories/vault-keys.ts'
import { leases } from './repositories/leases.ts'
import { rates } from './repositories/rate-limits.ts'
import { reports } from './repositories/privacy-reports.ts'
import { runs } from './repositories/sync-runs.ts'
import { sealed } from './repositories/sealed-tokens.ts'
import { sessions } from './repositories/connect-sessions.ts'
import { users } from './repositories/users.ts'

/**
 * Every repository, over one engine.
 *
 * @param by whose doing it is, when something is written
 */
export function createStore(engine: Engine, now: () => number, by: () => Actor = () => SERVICE) {
  const auditRows = audit(engine, now, by)
  const leaseRows = leases(engine)
  const historyRows = history(engine, now)
  const feedRows = feed(engine)
  const userRows = users(engine, now, auditRows)
  const { projects, issues, spaces, pages } = engine.tables
  const grantRows = grants(engine, now, {
    leases: leaseRows,
    history: historyRows,
    audit: auditRows
  })
  return {
    migrated: engine.migrated,
    waiting: engine.waiting,
    scrub: engine.scrub,
    users: userRows,
    audit: auditRows,
    apiKeys: apiKeys(engine, now, auditRows),
    identities: identities(engine, userRows, now, auditRows),
    sessions: sessions(engine, now, auditRows),
    flows: flows(engine, now),
    keys: keys(engine, now),
    leases: leaseRows,
    history: historyRows,
    grants: grantRows,
    reports: reports(engine, { leases: leaseRows }),
    sealed: sealed(engine, auditRows),
    connections: connections(engine, { rows: grantRows, history: historyRows, audit: auditRows }),
    runs: runs(engine, now, auditRows),
    rates: rates(engine, now),
    checkpoints: checkpoints(engine),
    budgets: budgets(engine),
    feed: feedRows,
    isShared: engine.isShared,
    inSteps: engine.inSteps,
    atomically: engine.atomically,
    projects: collection(
      engine,
      projects,
      { sortBy: 'key', within: 'key', named: ['key', 'name'] },
      feedRows,
      now
    ),
    issues: collection(
      engine,
      issues,
      { sortBy: 'key', within: 'projectKey', named: ['key', 'summary'] },
      feedRows,
      now
    ),
    spaces: collection(
      engine,
      spaces,
      { sortBy: 'key', within: 'key', named: ['key', 'name'] },
      feedRows,
      now
    ),
    pages: collection(
      engine,
      pages,
      { sortBy: 'title', within: 'spaceKey', named: ['title'] },
      feedRows,
      now
    )
  }
}

export type Store = ReturnType<typeof createStore>
