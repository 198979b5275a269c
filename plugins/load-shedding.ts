import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify'
import fp from 'fastify-plugin'
import { createAdmissionQueue } from '../src/http/admission-queue.ts'
import { startInOrder } from '../src/http/pipelining.ts'
import { createPressureGauge } from '../src/http/pressure.ts'
import { getHttpStatus, toProblem } from '../src/http/problem.ts'
import { toIpPrefix } from '../src/http/rate-limit-key.ts'
import { createRefusalLog } from '../src/http/refusal-log.ts'
import { AppError } from '../src/lib/errors.ts'

/** Event-loop delay that counts as overload, whatever causes it. */
const MAX_EVENT_LOOP_DELAY_MS = 1_000
/** Queries that may wait for a database connection before further requests are held. */
const MAX_WAITING_QUERIES = 50
const SAMPLE_INTERVAL_MS = 500
/** Share of the process's heap limit. */
const MAX_HEAP_RATIO = 0.9
const RETRY_AFTER_S = 2
/** A client that ignores Retry-After is not heard earlier, so that refusals take little time. */
const REFUSED_PAUSE_MS = 500

const OVERLOAD_ERROR = new AppError('unavailable', 'The service is overloaded. Try again.', {
  retryAfterS: RETRY_AFTER_S,
  suppressLog: true
})

/**
 * Bounds what one connection, one address and all of them together can make the service do at a time.
 * Runs before authentication, so that a refusal costs little.
 */
export default fp(
  async (app) => {
    const { overloadAfterMs } = app.config.limits
    const reportRefusal = createRefusalLog((fields) => {
      app.log.warn(
        { event: 'overloaded', ...fields },
        'The service is overloaded: some requests are refused with 503.'
      )
    })

    if (overloadAfterMs === 0) {
      app.addHook('onRequest', (request, reply, done) => {
        startInOrder(request.raw, reply.raw, done)
      })
      return
    }

    const { canStart, enqueue } = createAdmissionQueue({
      maxWaitMs: overloadAfterMs,
      isDatabaseBusy: () => app.store.estimatePoolWait().count > MAX_WAITING_QUERIES
    })
    const { getPressure, stop } = createPressureGauge({
      maxEventLoopDelayMs: MAX_EVENT_LOOP_DELAY_MS,
      maxHeapRatio: MAX_HEAP_RATIO,
      sampleIntervalMs: SAMPLE_INTERVAL_MS
    })
    app.addHook('onClose', stop)
    app.addHook('onRequest', (request, reply, done) => {
      startInOrder(request.raw, reply.raw, () => {
        if (isExempt(request)) done()
        else if (canStart()) start(done)
        else queue(request, reply, done)
      })
    })

    function start(done: HookHandlerDoneFunction): void {
      const pressure = getPressure()
      if (pressure === undefined) {
        done()
        return
      }
      reportRefusal(pressure)
      done(OVERLOAD_ERROR)
    }

    function queue(
      request: FastifyRequest,
      reply: FastifyReply,
      done: HookHandlerDoneFunction
    ): void {
      enqueue({
        caller: toIpPrefix(request.ip),
        // Its client has gone, or it was answered because its time was over.
        isAbandoned: () => reply.sent || request.raw.socket.destroyed,
        start: (onClosed) => {
          reply.raw.once('close', onClosed)
          start(done)
        },
        isStreaming: () => reply.raw.headersSent && !reply.raw.writableEnded,
        refuse: (waitMs) => {
          if (reply.sent) return
          reportRefusal({ reason: 'queue', value: waitMs })
          slowDown(request.raw.socket, reply.raw)
          if (request.routeOptions.config.limit === 'login') done(OVERLOAD_ERROR)
          else sendRefusal(request, reply)
        }
      })
    }

    let hasListened = false
    app.addHook('onListen', async () => {
      hasListened = true
    })

    /** Health checks are always answered, and requests injected by the process itself are no load. */
    function isExempt(request: FastifyRequest): boolean {
      return request.routeOptions.config.limit === 'none' || !hasListened
    }
  },
  {
    name: 'load-shedding',
    dependencies: [
      'config',
      'database',
      'logging',
      'security-headers',
      'errors',
      'cors',
      'connections',
      'time-limit'
    ]
  }
)

/** The response that `sendProblem` gives, at a third of its cost: most of a flood ends here. */
function sendRefusal(request: FastifyRequest, reply: FastifyReply): void {
  request.suppressLog = true
  const body = JSON.stringify(toProblem(OVERLOAD_ERROR, request.id))
  reply.headers({
    'content-type': 'application/problem+json',
    'content-length': Buffer.byteLength(body),
    'retry-after': RETRY_AFTER_S
  })
  reply.hijack()
  reply.raw
    .writeHead(getHttpStatus(OVERLOAD_ERROR), reply.getHeaders() as OutgoingHttpHeaders)
    .end(body)
}

/** Reads the next request of a connection only some time after this response. */
function slowDown(socket: Socket, response: ServerResponse): void {
  response.once('close', () => {
    // Node resumes the socket itself after a response.
    setImmediate(() => socket.pause())
    setTimeout(() => socket.resume(), REFUSED_PAUSE_MS).unref()
  })
}
