import { compile } from '@fastify/proxy-addr'
import fp from 'fastify-plugin'
import {
  limitConnections,
  limitConnectionsPerAddress,
  toMaxConnections
} from '../src/http/connection-limit.ts'
import { isIdle } from '../src/http/pipelining.ts'
import { createRefusalLog } from '../src/http/refusal-log.ts'
import { AppError } from '../src/lib/errors.ts'
import { getOpenFilesLimit } from '../src/lib/open-files.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Connections that the service accepts, and the limit of open files that decides it. */
    connectionCapacity: { max: number; openFilesLimit: number | undefined }
  }
}

/** Below this `ulimit -n` a handful of clients uses all connections. */
const MIN_OPEN_FILES = 512
const CLOSE_INTERVAL_MS = 100
const FULL_ERROR = new AppError(
  'unavailable',
  'The service has as many connections as it can have. Try again.',
  { retryAfterS: 2, suppressLog: true }
)

/** Bounds the connections, so that the process never runs out of descriptors (`ulimit -n`). */
export default fp(
  async (app) => {
    const { config, server } = app
    const openFilesLimit = getOpenFilesLimit()
    const max = toMaxConnections(openFilesLimit, config.database.poolSize)
    app.decorate('connectionCapacity', { max, openFilesLimit })
    if (openFilesLimit !== undefined && openFilesLimit < MIN_OPEN_FILES) {
      app.log.warn(
        { event: 'open_files_low', open_files_limit: openFilesLimit, max_connections: max },
        `ulimit -n is ${openFilesLimit}: at most ${max} clients can be connected. Raise it.`
      )
    }

    const { connectionsPerAddress } = config.limits
    if (connectionsPerAddress > 0) {
      const isTrustedProxy = compile([...config.trustProxy])
      const reportConnection = createRefusalLog((fields) => {
        app.log.warn(
          { event: 'connections_refused', ...fields },
          'An address has MAX_CONNECTIONS_PER_ADDRESS connections; further ones are closed. ' +
            'If it is a proxy, name it in TRUST_PROXY.'
        )
      })
      limitConnectionsPerAddress(server, {
        maxPerAddress: connectionsPerAddress,
        isExempt: (address) => isTrustedProxy(address, 0),
        onRefused: (address) => {
          reportConnection({ client_address: address })
        }
      })
    }

    const reportFull = createRefusalLog((fields) => {
      app.log.warn(
        { event: 'connections_full', max_connections: max, ...fields },
        'The service has as many connections as ulimit -n allows; new ones close idle ones or get 503.'
      )
    })
    const { isInReserve, closeIdle } = limitConnections(server, {
      max,
      isIdle,
      onFull: (action) => {
        reportFull({ action })
      }
    })
    app.addHook('onRequest', (request, reply, done) => {
      if (!isInReserve(request.raw.socket)) return done()
      reply.header('connection', 'close')
      done(request.routeOptions.config.anyHost === true ? undefined : FULL_ERROR)
    })

    app.addHook('onListen', async () => {
      // Without a listener a failed accept would end the process.
      server.on('error', (err) => {
        reportFull({ err })
      })
    })
    // Node closes idle connections too, but none that has never sent a request.
    app.addHook('preClose', async () => {
      const timer = setInterval(closeIdle, CLOSE_INTERVAL_MS).unref()
      server.once('close', () => {
        clearInterval(timer)
      })
    })
  },
  {
    name: 'connections',
    dependencies: [
      'config',
      'logging',
      'security-headers',
      'errors',
      'cors',
      // Its hook waits for SHUTDOWN_DELAY.
      'graceful-shutdown'
    ]
  }
)
