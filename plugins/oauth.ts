import fp from 'fastify-plugin'
import { keepConsent } from '../src/connections/save-consent.ts'
import { createFlow, type Flows } from '../src/oauth/flow.ts'
import type { Outside } from '../src/app-options.ts'

declare module 'fastify' {
  interface FastifyInstance {
    flow: Flows
  }
}

/** An exchange asks three times at most, one of them alone: token endpoint, then account and sites. */
const CALLS_IN_A_ROW = 2

/** The login flow, bound to configuration, network and clock. */
export default fp<Outside>(
  async (app, { now }) => {
    const { store, http, config, vault, access, clients, sync, sites } = app
    const consents = { store, vault, access, now, erasing: sites.erasing, stopRuns: sync.stopFor }
    app.decorate(
      'flow',
      createFlow({
        store,
        http,
        now,
        openLogins: config.limits.openLogins,
        patienceMs: CALLS_IN_A_ROW * (config.connectTimeoutMs + config.answerTimeoutMs),
        // Where callers have to say who they are, a state that nobody has issued says nothing.
        acceptForeignState: !config.production && config.openToAll,
        clientOf: clients.ofFlow,
        requireKeeping: vault.requireWriting,
        keep: async (...consent) => {
          await keepConsent(consents, ...consent)
        }
      })
    )
  },
  {
    name: 'oauth',
    dependencies: ['config', 'vault', 'database', 'http-client', 'oauth-clients', 'sync']
  }
)
