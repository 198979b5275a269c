import fp from 'fastify-plugin'
import { createPersonalDataReporter } from '../src/personal-data/reporter.ts'

/** Reports stored accounts to Atlassian while the service listens, if the setting is on. */
export default fp(
  async (app) => {
    const { siteContext, syncWorker, oauthClients, config, log } = app
    if (!config.personalDataReporting) return
    const reporter = createPersonalDataReporter({
      sites: siteContext,
      stopRuns: syncWorker.cancelForOwner,
      clientIds: oauthClients.listIds,
      keys: app.heartbeat,
      log
    })
    app.addHook('onListen', async () => {
      reporter.start()
    })
    app.addHook('preClose', () => reporter.stop())
  },
  { name: 'personal-data', dependencies: ['config', 'oauth-clients', 'sync', 'vault'] }
)
