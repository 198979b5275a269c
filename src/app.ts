import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import autoload from '@fastify/autoload'
import { compile } from '@fastify/proxy-addr'
import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { destination } from 'pino'
import type { Dispatcher } from 'undici'
import { ROUTER, sendProblem } from '../plugins/errors.ts'
import { ON_EVERY_ANSWER } from './http/security-headers.ts'
import { AppError } from './lib/errors.ts'
import { clientErrorHandler } from './http/client-error.ts'
import { createLogger } from './lib/logger.ts'
import type { LineSink } from './app-options.ts'

/** The largest body that is accepted: nothing here is near it. */
const BODY_LIMIT_BYTES = 64 * 1024
const MINUTE_MS = 60_000
/** Who has not sent a whole header by then is no browser and no back end. */
const HEADERS_WITHIN_MS = 15_000
/** Node looks at half-sent requests only so often. */
const LOOK_AT_CONNECTIONS_EVERY_MS = 5_000
/** Beyond it new connections are closed at once; below it idle ones cost some 20 KiB each. */
const MOST_CONNECTIONS = 20_000

export interface Options {
  env?: NodeJS.ProcessEnv
  /** Carries every call to Atlassian; default: a pool with the configured time limits. */
  network?: Dispatcher
  /** Milliseconds since the epoch. */
  now?: () => number
  /** true: lines to standard output; a sink: lines there; false: none. */
  logger?: boolean | LineSink
}

/**
 * The whole service, for production and tests alike; only the outside world is swapped.
 *
 * @throws StartError with every reason not to start
 */
export async function buildApp({
  env = process.env,
  network,
  now = Date.now,
  logger = false
}: Options = {}): Promise<FastifyInstance> {
  const { logger: loggerInstance, hide } = createLogger(sink(logger))
  const app: FastifyInstance = Fastify({
    ...(logger === false
      ? { logger: false }
      : { loggerInstance: loggerInstance as FastifyBaseLogger }),
    logController: new LogController({
      disableRequestLogging: true,
      requestIdLogLabel: 'request_id'
    }),
    genReqId: ({ headers }) => wellFormed(headers['x-request-id']) ?? randomUUID(),
    // The absolute form of a request (RFC 9112 section 3.2.2) names a host, and hosts are not taken from requests.
    rewriteUrl: ({ url = '/' }) => url.replace(/^https?:\/\/[^/?#]*/i, '') || '/',
    childLoggerFactory: (parent, bindings, options, { method, url = '' }) =>
      parent.child(
        { ...bindings, method, path: url.replace(/^https?:\/\/[^/?#]*|[?#].*$/gis, '') },
        options
      ),
    trustProxy: (address, hop) => trusts(address, hop),
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: MINUTE_MS - 10_000,
    connectionTimeout: 2 * MINUTE_MS,
    handlerTimeout: 2 * MINUTE_MS,
    keepAliveTimeout: 72_000,
    maxRequestsPerSocket: 10_000,
    http: {
      headersTimeout: HEADERS_WITHIN_MS,
      connectionsCheckingInterval: LOOK_AT_CONNECTIONS_EVERY_MS,
      requireHostHeader: false
    },
    forceCloseConnections: 'idle',
    // While it stops, /healthz says so and everything else is still answered.
    return503OnClosing: false,
    routerOptions: ROUTER,
    frameworkErrors: (_error, request, reply) => {
      sendProblem(
        new AppError('bad_request', 'The path is not a valid URL path.'),
        request,
        reply.headers(ON_EVERY_ANSWER)
      )
    },
    clientErrorHandler
  })

  app.server.maxConnections = MOST_CONNECTIONS
  // An expectation that nobody knows may be ignored (RFC 9110 section 10.1.1); Node's own refusal has none of our headers.
  app.server.on('checkExpectation', (request, response) => {
    app.server.emit('request', request, response)
  })

  const outside = { env, network, now, hide }
  await app.register(autoload, { dir: at('../plugins'), options: outside })
  const trusts = compile([...app.config.trustProxy])
  await app.register(autoload, { dir: at('../routes') })
  await app.register(autoload, { dir: at('../routes'), options: { prefix: '/api' } })
  return app
}

function at(folder: string): string {
  return fileURLToPath(new URL(folder, import.meta.url))
}

function sink(logger: boolean | LineSink): LineSink {
  return typeof logger === 'object' ? logger : destination({ fd: 1, sync: true })
}

/** A stranger's request id is bounded, or replaced. */
function wellFormed(id: string | string[] | undefined): string | undefined {
  return typeof id === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(id) ? id : undefined
}
