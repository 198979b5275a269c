import { getHeapStatistics } from 'node:v8'
import underPressure from '@fastify/under-pressure'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { AppError } from '../src/lib/errors.ts'
import { createTurns } from '../src/http/request-queue.ts'

/**
 * Fewer make no flood, waiting for their turn or for the database: it takes long for another reason, as where code runs for the first
 * time, a neighbour has the processor, or the database is slow.
 */
const FEWEST = 50
/** Whoever waits longer than this between two turns, whatever they are spent with, has more work than it can do. */
const MOST_DELAY_MS = 1_000
/** So often a request asks the database, and waits in its line anew. */
const TURNS = 3
const LOOK_EVERY_MS = 500
/** Of the heap that the process may have. */
const MOST_HEAP = 0.9
const COME_BACK_S = 2
const SAY_SO_EVERY_MS = 5_000
/** The event loop is free while the database is not: who asks again as soon as they are refused would fill it, and keep waiting who is served. */
const REFUSED_AFTER_MS = 500

class Overloaded extends AppError {
  constructor() {
    super('unavailable', 'More is asked than this instance can answer. Try again.', {
      retryAfterS: COME_BACK_S,
      quiet: true
    })
  }
}

/** Refuses early what could only be answered late: before anybody is looked up, so that a refusal costs next to nothing. */
export default fp(
  async (app) => {
    const { overloadAfterMs } = app.config.limits
    if (overloadAfterMs === 0) return
    const take = createTurns()
    let refused = 0
    let saidAt = 0

    app.addHook('onRequest', (request, _reply, done) => {
      // Whether the instance is alive has to be answered above all; and what asks in the process itself is no load.
      if (isExempt(request)) {
        done()
        return
      }
      take((ms, others) => {
        if (ms > overloadAfterMs && others >= FEWEST) {
          done(refusal('turn', ms))
          return
        }
        const { count, ms: wait } = app.store.waiting()
        if (wait * TURNS > overloadAfterMs && count >= FEWEST) {
          setTimeout(done, REFUSED_AFTER_MS, refusal('database', wait))
        } else done()
      })
    })

    await app.register(underPressure, {
      maxEventLoopDelay: MOST_DELAY_MS,
      maxHeapUsedBytes: Math.round(getHeapStatistics().heap_size_limit * MOST_HEAP),
      sampleInterval: LOOK_EVERY_MS,
      pressureHandler: (request, _reply, reason, value) => {
        return isExempt(request)
          ? undefined
          : (Promise.reject(refusal(reason, value)) as unknown as undefined)
      }
    })

    function isExempt(request: FastifyRequest): boolean {
      return request.routeOptions.config.limit === 'none' || !app.server.listening
    }

    function refusal(reason: string, value: number | undefined): Overloaded {
      refused++
      if (Date.now() - saidAt > SAY_SO_EVERY_MS) {
        saidAt = Date.now()
        app.log.warn(
          { event: 'overloaded', reason, value, refused },
          'More is asked than this instance can answer: some requests are refused with 503.'
        )
        refused = 0
      }
      return new Overloaded()
    }
  },
  {
    name: 'load-shedding',
    dependencies: ['config', 'logging', 'security-headers', 'errors', 'cors']
  }
)
