import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { getHeapStatistics } from 'node:v8'
import { compile } from '@fastify/proxy-addr'
import underPressure from '@fastify/under-pressure'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { createAdmissionQueue } from '../src/http/admission-queue.ts'
import { limitConnections } from '../src/http/connection-limit.ts'
import { startInOrder } from '../src/http/pipelining.ts'
import { getHttpStatus, toProblem } from '../src/http/problem.ts'
import { toIpPrefix } from '../src/http/rate-limit-key.ts'
import { AppError } from '../src/lib/errors.ts'

/** Event-loop delay that counts as overload, whatever causes it. */
const MAX_EVENT_LOOP_DELAY_MS = 1_000
/** Queries that may wait for a database connection before further requests are held. */
const MAX_WAITING_QUERIES = 50
const SAMPLE_INTERVAL_MS = 500
/** Share of the process's heap limit. */
const MAX_HEAP_RATIO = 0.9
const RETRY_AFTER_S = 2
const LOG_INTERVAL_MS = 5_000
/** A client that ignores Retry-After is not heard earlier, so that refusals take little time. */
const REFUSED_PAUSE_MS = 500

const OVERLOAD_ERROR = new AppError('unavailable', 'The service is overloaded. Try again.', {
  retryAfterS: RETRY_AFTER_S,
  suppressLog: true
})

/**
 * Bounds what one connection, one address and all of them together can make the service do.
 * Runs before authentication, so that a refusal costs little.
 */
export default fp(
  async (app) => {
    const { overloadAfterMs, connectionsPerAddress } = app.config.limits
    const reportRefusal = createRefusalLog((fields) => {
      app.log.warn(
        { event: 'overloaded', ...fields },
        'The service is overloaded: some requests are refused with 503.'
      )
    })

    if (connectionsPerAddress > 0) {
      const isTrustedProxy = compile([...app.config.trustProxy])
      const reportConnection = createRefusalLog((fields) => {
        app.log.warn(
          { event: 'connections_refused', ...fields },
          'An address has MAX_CONNECTIONS_PER_ADDRESS connections; further ones are closed. ' +
            'If it is a proxy, name it in TRUST_PROXY.'
        )
      })
      limitConnections(app.server, {
        maxPerAddress: connectionsPerAddress,
        isExempt: (address) => isTrustedProxy(address, 0),
        onRefused: (address) => {
          reportConnection({ client_address: address })
        }
      })
    }

    if (overloadAfterMs === 0) {
      app.addHook('onRequest', (request, reply, done) => {
        startInOrder(request.raw, reply.raw, done)
      })
      return
    }

    const admit = createAdmissionQueue({
      maxWaitMs: overloadAfterMs,
      isDatabaseBusy: () => app.store.estimatePoolWait().count > MAX_WAITING_QUERIES
    })
    app.addHook('onRequest', (request, reply, done) => {
      startInOrder(request.raw, reply.raw, () => {
        if (isExempt(request)) {
          done()
          return
        }
        admit({
          isAbandoned: () => request.raw.socket.destroyed,
          getCaller: () => toIpPrefix(request.ip),
          start: (onAnswered) => {
            if (onAnswered !== undefined) reply.raw.once('close', onAnswered)
            done()
          },
          refuse: (waitMs) => {
            reportRefusal({ reason: 'queue', value: waitMs })
            slowDown(request.raw.socket, reply.raw)
            if (request.routeOptions.config.limit === 'login') done(OVERLOAD_ERROR)
            else sendRefusal(request, reply)
          }
        })
      })
    })

    await app.register(underPressure, {
      maxEventLoopDelay: MAX_EVENT_LOOP_DELAY_MS,
      maxHeapUsedBytes: Math.round(getHeapStatistics().heap_size_limit * MAX_HEAP_RATIO),
      sampleInterval: SAMPLE_INTERVAL_MS,
      pressureHandler: (request, _reply, reason, value) => {
        if (isExempt(request)) return undefined
        reportRefusal({ reason, value })
        return Promise.reject(OVERLOAD_ERROR) as unknown as undefined
      }
    })

    /** Health checks are always answered, and requests injected by the process itself are no load. */
    function isExempt(request: FastifyRequest): boolean {
      return request.routeOptions.config.limit === 'none' || !app.server.listening
    }
  },
  {
    name: 'load-shedding',
    dependencies: ['config', 'database', 'logging', 'security-headers', 'errors', 'cors']
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

/** Logs the first refusal, and then at most one line per interval, with the number of refusals. */
function createRefusalLog(log: (fields: object) => void): (fields: object) => void {
  let refusedCount = 0
  let lastLoggedAt = -Infinity
  return (fields) => {
    refusedCount++
    if (performance.now() - lastLoggedAt < LOG_INTERVAL_MS) return
    lastLoggedAt = performance.now()
    log({ ...fields, refused: refusedCount })
    refusedCount = 0
  }
}
