import fp from 'fastify-plugin'
import { createRateBudget } from '../src/rate-budget/rate-budget.ts'
import { createCopyEraser } from '../src/connections/erasure.ts'
import type { SiteSettings } from '../src/connections/sites.ts'
import type { PluginOptions } from '../src/app-options.ts'
import { createConnectionPlans, type ConnectionPlans } from '../src/sync/connection-plans.ts'
import { createClockRecovery } from '../src/sync/clock-recovery.ts'
import { createSyncScheduler } from '../src/sync/scheduler.ts'
import { createSyncWorker, type SyncWorker } from '../src/sync/worker.ts'

declare module 'fastify' {
  interface FastifyInstance {
    syncWorker: SyncWorker
    /** When each connection is synced, and how old its copy may be. */
    connectionPlans: ConnectionPlans
    /** What calls to Atlassian for a connection need. */
    siteContext: SiteSettings
  }
}

/**
 * Runs syncs beside the requests, schedules them while the service listens, and re-queues them
 * before the database closes.
 */
export default fp<PluginOptions>(
  async (app, { now, upstreamBackoff }) => {
    const { store, providers, httpClient, tokenProvider, oauthClients, config, log } = app
    const siteContext: SiteSettings = {
      store,
      providers,
      http: httpClient,
      now,
      tokenProvider,
      budget: createRateBudget({
        shared: store.rateBudgets,
        now,
        hourlyPoints: config.hourlyPoints
      }),
      resolveApiUrl: oauthClients.requireApiUrl,
      eraseCopiesStatements: createCopyEraser(store, providers)
    }
    const { intervalMs, listIntervalMs, fullIntervalMs } = config.sync
    const plans = createConnectionPlans({
      ...siteContext,
      intervals: { routineMs: intervalMs, listingMs: listIntervalMs, fullMs: fullIntervalMs }
    })
    const settings = {
      ...siteContext,
      keys: app.heartbeat,
      log,
      plans,
      upstreamBackoff,
      ...config.sync
    }
    const syncWorker = createSyncWorker(settings)
    const syncScheduler = createSyncScheduler(settings, syncWorker)
    const clockRecovery = createClockRecovery(settings)
    app.addHook('onListen', async () => {
      clockRecovery.start()
      syncScheduler.start()
    })
    app.addHook('preClose', async () => {
      await clockRecovery.stop()
      await syncScheduler.stop()
      await syncWorker.stop()
    })
    app.decorate('siteContext', siteContext)
    app.decorate('syncWorker', syncWorker)
    app.decorate('connectionPlans', plans)
  },
  {
    name: 'sync',
    dependencies: [
      'config',
      'providers',
      'database',
      'http-client',
      'oauth-clients',
      'grants',
      'vault'
    ]
  }
)
