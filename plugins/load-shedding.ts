import { getHeapStatistics } from 'node:v8'
import underPressure from '@fastify/under-pressure'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { AppError } from '../src/lib/errors.ts'
import { createRequestQueue } from '../src/http/request-queue.ts'

/**
 * Fewer make no flood, waiting for their turn or for the database: it takes long for another reason, as where code runs for the first
 * time, a neighbour has the processor, or the database is slow.
 */
const MIN_QUEUE_LENGTH = 50
/** Whoever waits longer than this between two turns, whatever they are spent with, has more work than it can do. */
const MAX_EVENT_LOOP_DELAY_MS = 1_000
/** So often a request asks the database, and waits in its line anew. */
const DB_ROUND_TRIPS = 3
const SAMPLE_INTERVAL_MS = 500
/** Of the heap that the process may have. */
const MAX_HEAP_RATIO = 0.9
const RETRY_AFTER_S = 2
const LOG_INTERVAL_MS = 5_000
/** The event loop is free while the database is not: who asks again as soon as they are refused would fill it, and keep waiting who is served. */
const REFUSAL_DELAY_MS = 500

class OverloadError extends AppError {
  constructor() {
    super('unavailable', 'The service is overloaded. Try again.', {
      retryAfterS: RETRY_AFTER_S,
      suppressLog: true
    })
  }
}

/** Refuses early what could only be answered late: before anybody is looked up, so that a refusal costs next to nothing. */
export default fp(
  async (app) => {
    const { overloadAfterMs } = app.config.limits
    if (overloadAfterMs === 0) return
    const scheduleRequest = createRequestQueue()
    let refusedCount = 0
    let lastLoggedAt = 0

    app.addHook('onRequest', (request, _reply, done) => {
      // Whether the instance is alive has to be answered above all; and what asks in the process itself is no load.
      if (isExempt(request)) {
        done()
        return
      }
      scheduleRequest((waitedMs, waitingCount) => {
        if (waitedMs > overloadAfterMs && waitingCount >= MIN_QUEUE_LENGTH) {
          done(createOverloadError('turn', waitedMs))
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
