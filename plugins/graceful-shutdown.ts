import { setTimeout as sleep } from 'node:timers/promises'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** True from the moment the service was asked to stop. */
    isDraining: () => boolean
  }
}

/** Long enough for a proxy that asks /healthz each second to stop sending, half of the times; the rest is told by closed connections. */
const DRAIN_DELAY_MS = 500

/** A service that stops says so first, and goes on answering for a moment. */
export default fp(
  async (app) => {
    let isShuttingDown = false
    app.decorate('isDraining', () => isShuttingDown)
    app.addHook('preClose', async () => {
      isShuttingDown = true
      if (app.config.production && app.server.listening) await sleep(DRAIN_DELAY_MS)
    })
    // A connection that is kept alive would keep the process alive with it.
    app.addHook('onSend', (_request, reply, _payload, done) => {
      if (isShuttingDown) reply.header('connection', 'close')
      done()
    })
  },
  { name: 'graceful-shutdown', dependencies: ['config'] }
)
