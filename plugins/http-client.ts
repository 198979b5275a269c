import fp from 'fastify-plugin'
import { Agent } from 'undici'
import { actingNow } from '../src/lib/actor.ts'
import { createHttp, type Http } from '../src/lib/http-client.ts'
import type { Outside } from '../src/app-options.ts'

declare module 'fastify' {
  interface FastifyInstance {
    http: Http
  }
}

/** Calls to Atlassian, over the network that was handed in or a pool of our own. */
export default fp<Outside>(
  async (app, { network, now }) => {
    const { connectTimeoutMs, answerTimeoutMs } = app.config
    const own =
      network === undefined
        ? new Agent({ connect: { timeout: connectTimeoutMs }, connections: 32 })
        : undefined
    if (own !== undefined) app.addHook('onClose', () => own.destroy())
    app.decorate(
      'http',
      createHttp(network ?? (own as Agent), answerTimeoutMs, now, () => actingNow().requestId)
    )
  },
  { name: 'http-client', dependencies: ['config'] }
)
