import { setTimeout as sleep } from 'node:timers/promises'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** True from the moment the service was asked to stop. */
    isDraining: () => boolean
  }
}

/**
 * Gives a proxy that polls /healthz every second time to stop sending in half of the cases;
 * closed connections tell the rest.
 */
const DRAIN_DELAY_MS = 500

/** Makes a stopping service report that first and answer for a moment longer. */
export default fp(
  async (app) => {
    let isShuttingDown = false
    app.decorate('isDraining', () => isShuttingDown)
    app.addHook('preClose', async () => {
      isShuttingDown = true
      if (app.config.production && app.server.listening) await sleep(DRAIN_DELAY_MS)
    })
    // An open keep-alive connection would keep the process alive.
    app.addHook('onSend', (_request, reply, _payload, done) => {
      if (isShuttingDown) reply.header('connection', 'close')
      done()
    })
  },
  { name: 'graceful-shutdown', dependencies: ['config'] }
)
