import fp from 'fastify-plugin'
import type { SiteSettings } from '../src/connections/sites.ts'
import type { Outside } from '../src/outside.ts'
import { providerOf } from '../src/providers/index.ts'
import { createSync, type Sync } from '../src/sync/sync.ts'

declare module 'fastify' {
  interface FastifyInstance {
    sync: Sync
    /** What asking Atlassian in a connection's name takes. */
    sites: SiteSettings
  }
}

/** Runs syncs beside the requests and stops them before the database closes. */
export default fp<Outside>(async (app, { now }) => {
  const { store, http, access, clients } = app
  const sites: SiteSettings = {
    store,
    http,
    now,
    access,
    apiUrlOf: clients.apiUrlOf,
    erasing: (userId, id, cloudIds) => providerOf(id).collections.map(({ name }) => store[name].erasing(userId, cloudIds))
  }
  const sync = createSync(sites)
  app.addHook('preClose', () => sync.stop())
  app.decorate('sites', sites)
  app.decorate('sync', sync)
}, { name: 'sync', dependencies: ['database', 'upstream', 'clients', 'grants'] })
