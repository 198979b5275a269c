import { SERVICE, type Actor } from '../audit/actor.ts'
import { apiKeys } from './api-keys.ts'
import { audit } from './audit.ts'
import { budgets } from './budgets.ts'
import { checkpoints } from './checkpoints.ts'
import { collection } from './collection.ts'
import { connections } from './connections.ts'
import type { Engine } from './engine.ts'
import { feed } from './feed.ts'
import { flows } from './flows.ts'
import { grants } from './grants.ts'
import { history } from './history.ts'
import { identities } from './identities.ts'
import { keys } from './keys.ts'
import { leases } from './leases.ts'
import { rates } from './rates.ts'
import { reports } from './reports.ts'
import { runs } from './runs.ts'
import { sealed } from './sealed.ts'
import { sessions } from './sessions.ts'
import { users } from './users.ts'

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
