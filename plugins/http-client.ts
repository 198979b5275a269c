import fp from 'fastify-plugin'
import type { Dispatcher } from 'undici'
import packageJson from '../package.json' with { type: 'json' }
import { getCurrentActor } from '../src/lib/actor.ts'
import { createDeprecationLog, type DeprecationLog } from '../src/lib/deprecations.ts'
import { createHttpClient, type HttpClient } from '../src/lib/http-client.ts'
import type { PluginOptions } from '../src/app-options.ts'

declare module 'fastify' {
  interface FastifyInstance {
    httpClient: HttpClient
    /** The endpoints that Atlassian announces to change or remove. */
    deprecations: DeprecationLog
  }
}

/** The client for all outgoing calls; it uses `network` if the app was built with one, else a pool. */
export default fp<PluginOptions>(
  async (app, { network, now }) => {
    const { answerTimeoutMs } = app.config
    let ownAgent: Promise<Dispatcher> | undefined
    app.addHook('onClose', async () => await (await ownAgent)?.destroy())
    const openAgent = async () => {
      const { createOutgoingAgent } = await import('../src/lib/outgoing-agent.ts')
      return createOutgoingAgent(app.config)
    }
    const deprecations = createDeprecationLog(now)
    app.decorate('deprecations', deprecations)
    app.decorate(
      'httpClient',
      createHttpClient({
        network: network ?? (async () => await (ownAgent ??= openAgent())),
        responseTimeoutMs: answerTimeoutMs,
        now,
        userAgent: `${packageJson.name}/${packageJson.version}`,
        getRequestId: () => getCurrentActor().requestId,
        observe: deprecations.observe
      })
    )
  },
  { name: 'http-client', dependencies: ['config'] }
)
