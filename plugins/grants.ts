import fp from 'fastify-plugin'
import { reevaluateConnections } from '../src/connections/sites.ts'
import { createTokenProvider, type TokenProvider } from '../src/grants/access-token.ts'
import { createMaintenanceJob, type MaintenanceJob } from '../src/grants/maintenance-job.ts'
import type { PluginOptions } from '../src/app-options.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The only way to a token. */
    tokenProvider: TokenProvider
    maintenance: MaintenanceJob
  }
}

/** One exchange may take this long at most, whatever other calls may: somebody waits for it, and the lease has to outlast two. */
const MAX_EXCHANGE_TIMEOUT_MS = 10_000
const EXCHANGES_PER_LEASE = 3

/** Keeps grants alive while the service listens, and ends with what was begun. */
export default fp<PluginOptions>(
  async (app, { now }) => {
    const { store, vault, httpClient, oauthClients, log } = app
    const exchangeTimeoutMs = Math.min(app.config.answerTimeoutMs, MAX_EXCHANGE_TIMEOUT_MS)
    const leaseTtlMs = EXCHANGES_PER_LEASE * exchangeTimeoutMs
    const tokenProvider = createTokenProvider({
      store,
      vault,
      http: httpClient,
      now,
      exchangeTimeoutMs,
      leaseTtlMs,
      findClient: oauthClients.findById,
      onScopesChanged: async (grantId, log) => {
        await reevaluateConnections(store, grantId, false, log)
      }
    })
    const maintenance = createMaintenanceJob({
      store,
      vault,
      tokenProvider,
      now,
      log,
      clientIds: oauthClients.listIds,
      auditRetentionDays: app.config.auditRetentionDays
    })
    app.addHook('onReady', () => maintenance.prepare())
    app.addHook('onListen', async () => {
      maintenance.start()
    })
    app.addHook('preClose', () => maintenance.stop())
    // Requests are answered until the end, and some of them may have begun an exchange; this comes before network and database close.
    app.addHook('onClose', () => tokenProvider.drain())
    app.decorate('tokenProvider', tokenProvider)
    app.decorate('maintenance', maintenance)
  },
  { name: 'grants', dependencies: ['config', 'database', 'vault', 'http-client', 'oauth-clients'] }
)
