import fp from 'fastify-plugin'
import { reevaluateConnections } from '../src/connections/sites.ts'
import { createTokenProvider, type TokenProvider } from '../src/grants/access-token.ts'
import { createMaintenanceJob, type MaintenanceJob } from '../src/grants/maintenance-job.ts'
import type { PluginOptions } from '../src/app-options.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The only source of access tokens. */
    tokenProvider: TokenProvider
    maintenance: MaintenanceJob
  }
}

/**
 * Upper limit for one exchange, whatever other calls may take: a caller waits for it, and the
 * lease must outlast two exchanges.
 */
const MAX_EXCHANGE_TIMEOUT_MS = 10_000
/** An exchange, its repetition, and time to save the result. */
const EXCHANGES_PER_LEASE = 3

/** Refreshes tokens while the service listens, and completes started exchanges at shutdown. */
export default fp<PluginOptions>(
  async (app, { now }) => {
    const { store, providers, vault, httpClient, oauthClients, log } = app
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
        await reevaluateConnections({ store, providers }, grantId, false, log)
      }
    })
    const maintenance = createMaintenanceJob({
      store,
      vault,
      tokenProvider,
      now,
      log,
      clientIds: oauthClients.listIds,
      auditRetentionDays: app.config.auditRetentionDays,
      keys: app.heartbeat,
      hasSchedule: app.config.sync.intervalMs > 0
    })
    app.addHook('onReady', () => maintenance.prepare())
    app.addHook('onListen', async () => {
      maintenance.start()
    })
    app.addHook('preClose', () => maintenance.stop())
    // In-flight requests may have started an exchange; this hook runs before network and
    // database close.
    app.addHook('onClose', () => tokenProvider.drain())
    app.decorate('tokenProvider', tokenProvider)
    app.decorate('maintenance', maintenance)
  },
  {
    name: 'grants',
    dependencies: ['config', 'providers', 'database', 'vault', 'http-client', 'oauth-clients']
  }
)
