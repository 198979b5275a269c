import { collection } from './collection.ts'
import type { Engine } from './engine.ts'
import { flows } from './flows.ts'
import { grants } from './grants.ts'
import { runs } from './runs.ts'
import { users } from './users.ts'

/** Every repository, over one engine. */
export function createStore (engine: Engine, now: () => number) {
  return {
    migrated: engine.migrated,
    users: users(engine, now),
    flows: flows(engine, now),
    grants: grants(engine, now),
    runs: runs(engine, now),
    projects: collection(engine, engine.tables.projects, 'key', now),
    pages: collection(engine, engine.tables.pages, 'title', now)
  }
}

export type Store = ReturnType<typeof createStore>
