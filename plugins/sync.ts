import fp from 'fastify-plugin'
import { createBudget } from '../src/rate-budget/rate-budget.ts'
import type { SiteSettings } from '../src/connections/sites.ts'
import type { Outside } from '../src/app-options.ts'
import { providerOf } from '../src/providers/index.ts'
import { createSchedule, type Schedule } from '../src/sync/scheduler.ts'
import { createSync, type Sync } from '../src/sync/worker.ts'

declare module 'fastify' {
  interface FastifyInstance {
    sync: Sync
    schedule: Schedule
    /** What asking Atlassian in a connection's name takes. */
    sites: SiteSettings
  }
}

/** Runs syncs beside the requests, keeps their schedule while the service listens, and puts them aside before the database closes. */
export default fp<Outside>(
  async (app, { now }) => {
    const { store, http, access, clients, config, log } = app
    const sites: SiteSettings = {
      store,
      http,
      now,
      access,
      budget: createBudget({ shared: store.budgets, now, hourlyPoints: config.hourlyPoints }),
      apiUrlOf: clients.apiUrlOf,
      erasing: (userId, id, cloudIds) => [
        ...providerOf(id).collections.map(({ name }) => store[name].erasing(userId, cloudIds)),
        store.checkpoints.forgetting(userId, id, cloudIds),
        store.feed.restarting(userId)
      ]
    }
    const settings = { ...sites, log, ...config.sync }
    const sync = createSync(settings)
    const schedule = createSchedule(settings, sync)
    app.addHook('onListen', async () => {
      schedule.start()
    })
    app.addHook('preClose', async () => {
      await schedule.stop()
      await sync.stop()
    })
    app.decorate('sites', sites)
    app.decorate('sync', sync)
    app.decorate('schedule', schedule)
  },
  { name: 'sync', dependencies: ['config', 'database', 'http-client', 'oauth-clients', 'grants'] }
)
