import fp from 'fastify-plugin'
import type { Outside } from '../src/outside.ts'
import { createSync, type Sync } from '../src/sync/sync.ts'

declare module 'fastify' {
  interface FastifyInstance { sync: Sync }
}

/** Runs syncs beside the requests and stops them before the database closes. */
export default fp<Outside>(async (app, { now }) => {
  const { store, http, oauth } = app
  const sync = createSync({ store, http, now, grants: oauth.grants, apiUrlOf: oauth.apiUrlOf })
  app.addHook('preClose', () => sync.stop())
  app.decorate('sync', sync)
}, { name: 'sync', dependencies: ['database', 'upstream', 'oauth'] })
