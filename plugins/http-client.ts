import fp from 'fastify-plugin'
import { Agent } from 'undici'
import { getCurrentActor } from '../src/lib/actor.ts'
import { createHttpClient, type HttpClient } from '../src/lib/http-client.ts'
import type { PluginOptions } from '../src/app-options.ts'

declare module 'fastify' {
  interface FastifyInstance {
    httpClient: HttpClient
  }
}

/** The client for calls to Atlassian; it uses `network` if the app was built with one, else a pool. */
export default fp<PluginOptions>(
  async (app, { network, now }) => {
    const { connectTimeoutMs, answerTimeoutMs } = app.config
    const ownAgent =
      network === undefined
        ? new Agent({ connect: { timeout: connectTimeoutMs }, connections: 32 })
        : undefined
    if (ownAgent !== undefined) app.addHook('onClose', () => ownAgent.destroy())
    app.decorate(
      'httpClient',
      createHttpClient(
        network ?? (ownAgent as Agent),
        answerTimeoutMs,
        now,
        () => getCurrentActor().requestId
      )
    )
  },
  { name: 'http-client', dependencies: ['config'] }
)
