import { setTimeout as sleep } from 'node:timers/promises'
import fp from 'fastify-plugin'
import { stopAccepting } from '../src/http/stop-accepting.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** True from the moment the service was asked to stop: it is not ready for new clients. */
    isDraining: () => boolean
    /** True after SHUTDOWN_DELAY: what waits for something ends, so that its client goes elsewhere. */
    isClosing: () => boolean
    /** True shortly before SHUTDOWN_GRACE is over: what is not finished now is cut. */
    isGraceOver: () => boolean
  }
}

/** For the last bytes of responses that end early. */
const FINISH_TIME_MS = 500

/**
 * On shutdown the service reports it on /healthz first, so that proxies and service discovery send
 * requests elsewhere, and goes on answering for SHUTDOWN_DELAY. Then it accepts no connection and
 * answers the open requests within SHUTDOWN_GRACE.
 */
export default fp(
  async (app) => {
    const { delayMs, graceMs } = app.config.shutdown
    let isDraining = false
    let isClosing = false
    let graceEndsAt = Infinity
    app.decorate('isDraining', () => isDraining)
    app.decorate('isClosing', () => isClosing)
    app.decorate('isGraceOver', () => performance.now() >= graceEndsAt)
    app.addHook('preClose', async () => {
      isDraining = true
      const effectiveDelayMs = app.server.listening ? delayMs : 0
      graceEndsAt = performance.now() + effectiveDelayMs + graceMs - FINISH_TIME_MS
      if (effectiveDelayMs > 0) await sleep(effectiveDelayMs)
      if (app.server.listening) await stopAccepting(app.server)
      isClosing = true
    })
    // An open keep-alive connection would keep the process alive.
    app.addHook('onSend', (_request, reply, _payload, done) => {
      if (isDraining) reply.header('connection', 'close')
      done()
    })
  },
  { name: 'graceful-shutdown', dependencies: ['config'] }
)
