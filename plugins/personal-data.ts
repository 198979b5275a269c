import fp from 'fastify-plugin'
import { createPersonalDataReporter } from '../src/personal-data/reporter.ts'
import type { IntervalJob } from '../src/lib/interval.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Reports stored accounts to Atlassian, by itself if the setting is on. */
    personalDataReporter: IntervalJob
  }
}

/** Runs the reporter while the service listens, if the setting is on. */
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
