import fp from 'fastify-plugin'
import { reviewGrant } from '../src/connections/sites.ts'
import { createAccess, type Access } from '../src/grants/access-token.ts'
import { createUpkeep, type Upkeep } from '../src/grants/maintenance-job.ts'
import type { Outside } from '../src/app-options.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The only way to a token. */
    access: Access
    upkeep: Upkeep
  }
}

/** One exchange may take this long at most, whatever other calls may: somebody waits for it, and the lease has to outlast two. */
const LONGEST_EXCHANGE_MS = 10_000
const LEASE_IN_EXCHANGES = 3

/** Keeps grants alive while the service listens, and ends with what was begun. */
export default fp<Outside>(
  async (app, { now }) => {
    const { store, vault, http, clients, log } = app
    const exchangeMs = Math.min(app.config.answerTimeoutMs, LONGEST_EXCHANGE_MS)
    const leaseMs = LEASE_IN_EXCHANGES * exchangeMs
    const access = createAccess({
      store,
      vault,
      http,
      now,
      exchangeMs,
      leaseMs,
      clientById: clients.byId,
      onScopes: async (grantId, log) => {
        await reviewGrant(store, grantId, false, log)
      }
    })
    const upkeep = createUpkeep({
      store,
      vault,
      access,
      now,
      log,
      clientIds: clients.ids,
      auditDays: app.config.auditDays
    })
    app.addHook('onReady', () => upkeep.prepare())
    app.addHook('onListen', async () => {
      upkeep.start()
    })
    app.addHook('preClose', () => upkeep.stop())
    // Requests are answered until the end, and some of them may have begun an exchange; this comes before network and database close.
    app.addHook('onClose', () => access.settled())
    app.decorate('access', access)
    app.decorate('upkeep', upkeep)
  },
  { name: 'grants', dependencies: ['config', 'database', 'vault', 'http-client', 'oauth-clients'] }
)
