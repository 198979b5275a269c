import type { FastifyReply } from 'fastify'
import fp from 'fastify-plugin'
import { AppError } from '../src/lib/errors.ts'
import { createSlots, type Slot } from '../src/lib/slots.ts'

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
    /** Its place among the open requests. */
    openSlot: Slot<FastifyReply> | undefined
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
    const open = createSlots<FastifyReply>()
    app.decorateRequest('answerBy', 0)
    app.decorateRequest('openSlot', undefined)
    app.decorate('countOpenRequests', () => open.size)
    app.addHook('onRequest', (request, reply, done) => {
      request.answerBy =
        performance.now() + (request.routeOptions.config.timeLimitMs ?? DEFAULT_LIMIT_MS)
      request.openSlot = open.add(reply)
      done()
    })
    app.addHook('onResponse', (request, _reply, done) => {
      if (request.openSlot !== undefined) open.remove(request.openSlot)
      done()
    })
    const timer = setInterval(() => {
      const now = performance.now()
      for (const slot of open.list()) {
        const { value: reply } = slot
        const { request } = reply
        // A client that closed its connection gets no response, so there is no onResponse. The response
        // itself does not say so if it waits for another one of its connection.
        const hasClosed = request.raw.socket.destroyed
        if (request.answerBy > now && !hasClosed) continue
        open.remove(slot)
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
