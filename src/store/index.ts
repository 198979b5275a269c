import { collection } from './collection.ts'
import { connections } from './connections.ts'
import type { Engine } from './engine.ts'
import { flows } from './flows.ts'
import { grants } from './grants.ts'
import { history } from './history.ts'
import { keys } from './keys.ts'
import { leases } from './leases.ts'
import { runs } from './runs.ts'
import { sealed } from './sealed.ts'
import { users } from './users.ts'

/** Every repository, over one engine. */
export function createStore (engine: Engine, now: () => number) {
  const leaseRows = leases(engine)
  const historyRows = history(engine, now)
  const grantRows = grants(engine, now, { leases: leaseRows, history: historyRows })
  return {
    migrated: engine.migrated,
    scrub: engine.scrub,
    users: users(engine, now),
    flows: flows(engine, now),
    keys: keys(engine, now),
    leases: leaseRows,
    history: historyRows,
    grants: grantRows,
    sealed: sealed(engine),
    connections: connections(engine, { rows: grantRows, history: historyRows }),
    runs: runs(engine, now),
    projects: collection(engine, engine.tables.projects, 'key', now),
    pages: collection(engine, engine.tables.pages, 'title', now)
  }
}

export type Store = ReturnType<typeof createStore>
