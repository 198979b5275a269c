import fp from 'fastify-plugin'
import { createCycle } from '../src/personal-data/reporter.ts'
import type { Ticker } from '../src/lib/interval.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Tells Atlassian whose accounts are kept; it does so by itself where the setting is on. */
    personalData: Ticker
  }
}

/** Reports accounts to Atlassian while the service listens, where that is wanted. */
export default fp(
  async (app) => {
    const { sites, sync, clients, config, log } = app
    const cycle = createCycle({ sites, stopRuns: sync.stopFor, clientIds: clients.ids, log })
    if (config.reportsPersonalData) {
      app.addHook('onListen', async () => {
        cycle.start()
      })
    }
    app.addHook('preClose', () => cycle.stop())
    app.decorate('personalData', cycle)
  },
  { name: 'personal-data', dependencies: ['config', 'oauth-clients', 'sync'] }
)
