import fp from 'fastify-plugin'
import { saveConsent } from '../src/connections/save-consent.ts'
import { createLoginFlowHandler, type LoginFlowHandler } from '../src/oauth/flow.ts'
import type { PluginOptions } from '../src/app-options.ts'

declare module 'fastify' {
  interface FastifyInstance {
    flow: LoginFlowHandler
  }
}

/** A login makes three calls: the token exchange, then account and sites in parallel. */
const SEQUENTIAL_CALLS = 2

/** The login flow, bound to settings, network and clock. */
export default fp<PluginOptions>(
  async (app, { now }) => {
    const {
      store,
      providers,
      httpClient,
      config,
      vault,
      tokenProvider,
      oauthClients,
      syncWorker,
      siteContext
    } = app
    const consentDependencies = {
      store,
      providers,
      vault,
      tokenProvider,
      now,
      eraseCopiesStatements: siteContext.eraseCopiesStatements,
      stopRuns: syncWorker.cancelForOwner
    }
    app.decorate(
      'flow',
      createLoginFlowHandler({
        store,
        providers,
        http: httpClient,
        now,
        emailMismatch: config.consentEmailMismatch,
        maxOpenLogins: config.limits.maxOpenLogins,
        exchangeTimeoutMs: SEQUENTIAL_CALLS * (config.connectTimeoutMs + config.answerTimeoutMs),
        // In protected mode a state that the service did not issue identifies nobody.
        acceptForeignState: !config.production && config.publicAccess,
        findClient: oauthClients.findForFlow,
        prepareToEncrypt: vault.prepareToEncrypt,
        saveConsent: async (...consent) => {
          await saveConsent(consentDependencies, ...consent)
        }
      })
    )
  },
  {
    name: 'oauth',
    dependencies: [
      'config',
      'providers',
      'vault',
      'database',
      'http-client',
      'oauth-clients',
      'sync'
    ]
  }
)
