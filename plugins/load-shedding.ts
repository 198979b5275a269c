import { getHeapStatistics } from 'node:v8'
import underPressure from '@fastify/under-pressure'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { AppError } from '../src/lib/errors.ts'
import { createRequestQueue } from '../src/http/request-queue.ts'

/**
 * Shed load only if at least this many requests are queued. A long wait with a short queue is
 * not overload, but JIT warm-up, a noisy neighbour or a slow database.
 */
const MIN_QUEUE_LENGTH = 50
/** Event-loop delay that counts as overload, whatever causes it. */
const MAX_EVENT_LOOP_DELAY_MS = 1_000
/** Database round trips per request, each of which waits for a connection. */
const DB_ROUND_TRIPS = 3
const SAMPLE_INTERVAL_MS = 500
/** Share of the process's heap limit. */
const MAX_HEAP_RATIO = 0.9
const RETRY_AFTER_S = 2
const LOG_INTERVAL_MS = 5_000
/**
 * Delay database-overload refusals, so that clients retrying at once do not saturate the event
 * loop.
 */
const REFUSAL_DELAY_MS = 500

class OverloadError extends AppError {
  constructor() {
    super('unavailable', 'The service is overloaded. Try again.', {
      retryAfterS: RETRY_AFTER_S,
      suppressLog: true
    })
  }
}

/**
 * Refuses requests that could only be answered late. Runs before authentication, so that a
 * refusal costs almost nothing.
 */
export default fp(
  async (app) => {
    const { overloadAfterMs } = app.config.limits
    if (overloadAfterMs === 0) return
    const scheduleRequest = createRequestQueue()
    let refusedCount = 0
    let lastLoggedAt = 0

    app.addHook('onRequest', (request, _reply, done) => {
      // Health checks must always be answered, and requests injected by the process itself are
      // no load.
      if (isExempt(request)) {
        done()
        return
      }
      scheduleRequest((waitedMs, waitingCount) => {
        if (waitedMs > overloadAfterMs && waitingCount >= MIN_QUEUE_LENGTH) {
          done(createOverloadError('queue', waitedMs))
          return
        }
        const { count, ms: wait } = app.store.estimatePoolWait()
        if (wait * DB_ROUND_TRIPS > overloadAfterMs && count >= MIN_QUEUE_LENGTH) {
          setTimeout(done, REFUSAL_DELAY_MS, createOverloadError('database', wait))
        } else done()
      })
    })

    await app.register(underPressure, {
      maxEventLoopDelay: MAX_EVENT_LOOP_DELAY_MS,
      maxHeapUsedBytes: Math.round(getHeapStatistics().heap_size_limit * MAX_HEAP_RATIO),
      sampleInterval: SAMPLE_INTERVAL_MS,
      pressureHandler: (request, _reply, reason, value) => {
        return isExempt(request)
          ? undefined
          : (Promise.reject(createOverloadError(reason, value)) as unknown as undefined)
      }
    })

    function isExempt(request: FastifyRequest): boolean {
      return request.routeOptions.config.limit === 'none' || !app.server.listening
    }

    function createOverloadError(reason: string, value: number | undefined): OverloadError {
      refusedCount++
      if (Date.now() - lastLoggedAt > LOG_INTERVAL_MS) {
        lastLoggedAt = Date.now()
        app.log.warn(
          { event: 'overloaded', reason, value, refused: refusedCount },
          'The service is overloaded: some requests are refused with 503.'
        )
        refusedCount = 0
      }
      return new OverloadError()
    }
  },
  {
    name: 'load-shedding',
    dependencies: ['config', 'logging', 'security-headers', 'errors', 'cors']
  }
)
