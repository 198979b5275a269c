import fp from 'fastify-plugin'
import { createPersonalDataReporter } from '../src/personal-data/reporter.ts'
import type { IntervalJob } from '../src/lib/interval.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Tells Atlassian whose accounts are kept; it does so by itself where the setting is on. */
    personalDataReporter: IntervalJob
  }
}

/** Reports accounts to Atlassian while the service listens, where that is wanted. */
export default fp(
  async (app) => {
    const { siteContext, syncWorker, oauthClients, config, log } = app
    const reporter = createPersonalDataReporter({
      sites: siteContext,
      stopRuns: syncWorker.cancelForOwner,
      clientIds: oauthClients.listIds,
      log
    })
    if (config.personalDataReporting) {
      app.addHook('onListen', async () => {
        reporter.start()
      })
    }
    app.addHook('preClose', () => reporter.stop())
    app.decorate('personalDataReporter', reporter)
  },
  { name: 'personal-data', dependencies: ['config', 'oauth-clients', 'sync'] }
)
