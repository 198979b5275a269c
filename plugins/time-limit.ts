import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { AppError } from '../src/lib/errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** How long a response may take, in ms. Default: two minutes. */
    timeLimitMs?: number
  }
  interface FastifyInstance {
    /** How many requests are in progress, at most a second after others have ended. */
    countOpenRequests: () => number
  }
  interface FastifyRequest {
    /** When the request ends unanswered, as `performance.now()` tells it. */
    answerBy: number
  }
}

const DEFAULT_LIMIT_MS = 120_000
/** How late the limit may end a request. */
const CHECK_INTERVAL_MS = 1_000

/**
 * Ends requests whose response takes too long. One timer looks at all of them: a timer and an
 * AbortController for each request, as Fastify's `handlerTimeout` makes them, cost more than most
 * answers.
 */
export default fp(
  async (app) => {
    const open = new Map<FastifyRequest, FastifyReply>()
    app.decorateRequest('answerBy', 0)
    app.decorate('countOpenRequests', () => open.size)
    app.addHook('onRequest', (request, reply, done) => {
      request.answerBy =
        performance.now() + (request.routeOptions.config.timeLimitMs ?? DEFAULT_LIMIT_MS)
      open.set(request, reply)
      done()
    })
    app.addHook('onResponse', (request, _reply, done) => {
      open.delete(request)
      done()
    })
    const timer = setInterval(() => {
      const now = performance.now()
      for (const [request, reply] of open) {
        // A client that closed its connection gets no response, so there is no onResponse. The response
        // itself does not say so if it waits for another one of its connection.
        const hasClosed = request.raw.socket.destroyed
        if (request.answerBy > now && !hasClosed) continue
        open.delete(request)
        if (!hasClosed) end(reply)
      }
    }, CHECK_INTERVAL_MS).unref()
    app.addHook('onClose', async () => {
      clearInterval(timer)
    })
  },
  { name: 'time-limit', dependencies: ['logging', 'security-headers', 'errors'] }
)

function end(reply: FastifyReply): void {
  if (reply.sent) return
  const error = new AppError('unavailable', 'The request took too long. Try again.', {
    retryAfterS: 1
  })
  // A response that has begun cannot become another one.
  if (reply.raw.headersSent) reply.raw.destroy(error)
  else reply.send(error)
}
