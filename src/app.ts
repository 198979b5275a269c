import { randomUUID } from 'node:crypto'
import autoload from '@fastify/autoload'
import { compile } from '@fastify/proxy-addr'
import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { destination } from 'pino'
import type { Dispatcher } from 'undici'
import { ROUTER_OPTIONS, sendProblem } from './http/problem.ts'
import { SECURITY_HEADERS } from './http/security-headers.ts'
import { AppError } from './lib/errors.ts'
import { clientErrorHandler } from './http/client-error.ts'
import { createLogger } from './lib/logger.ts'
import { builtInProviders } from './providers/index.ts'
import type { Provider } from './providers/provider.ts'
import { createRegistry } from './providers/registry.ts'
import { resolveFromRoot } from './lib/root-folder.ts'
import type { LogDestination, PluginOptions } from './app-options.ts'

/** The largest body that is accepted: nothing here is near it. */
const MAX_BODY_BYTES = 64 * 1024
const MINUTE_MS = 60_000
/** Who has not sent a whole header by then is no browser and no back end. */
const HEADERS_TIMEOUT_MS = 15_000
/** Node looks at half-sent requests only so often. */
const CONNECTIONS_CHECK_INTERVAL_MS = 5_000
/** Beyond it new connections are closed at once; below it idle ones cost some 20 KiB each. */
const MAX_CONNECTIONS = 20_000

export interface AppOptions {
  env?: NodeJS.ProcessEnv
  /** The products to connect; the first one is the fallback. Default: the built-in ones. */
  providers?: readonly [Provider, ...Provider[]]
  /** Carries every call to Atlassian; default: a pool with the configured time limits. */
  network?: Dispatcher
  /** Milliseconds since the epoch. */
  now?: () => number
  /** true: lines to standard output; a sink: lines there; false: none. */
  logger?: boolean | LogDestination
}

/**
 * The whole service, for production and tests alike; only the outside world is swapped.
 *
 * @throws StartError with every reason not to start
 */
export async function buildApp({
  env = process.env,
  providers = builtInProviders,
  network,
  now = Date.now,
  logger = false
}: AppOptions = {}): Promise<FastifyInstance> {
  const { logger: loggerInstance, redactValue } = createLogger(toLogDestination(logger))
  const app: FastifyInstance = Fastify({
    ...(logger === false
      ? { logger: false }
      : { loggerInstance: loggerInstance as FastifyBaseLogger }),
    logController: new LogController({
      disableRequestLogging: true,
      requestIdLogLabel: 'request_id'
    }),
    genReqId: ({ headers }) => parseRequestId(headers['x-request-id']) ?? randomUUID(),
    // The absolute form of a request (RFC 9112 section 3.2.2) names a host, and hosts are not taken from requests.
    rewriteUrl: ({ url = '/' }) => url.replace(/^https?:\/\/[^/?#]*/i, '') || '/',
    childLoggerFactory: (parent, bindings, options, { method, url = '' }) =>
      parent.child(
        { ...bindings, method, path: url.replace(/^https?:\/\/[^/?#]*|[?#].*$/gis, '') },
        options
      ),
    trustProxy: (address, hop) => isTrustedProxy(address, hop),
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: MINUTE_MS - 10_000,
    connectionTimeout: 2 * MINUTE_MS,
    handlerTimeout: 2 * MINUTE_MS,
    keepAliveTimeout: 72_000,
    maxRequestsPerSocket: 10_000,
    http: {
      headersTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: CONNECTIONS_CHECK_INTERVAL_MS,
      requireHostHeader: false
    },
    forceCloseConnections: 'idle',
    // While it stops, /healthz says so and everything else is still answered.
    return503OnClosing: false,
    routerOptions: ROUTER_OPTIONS,
    frameworkErrors: (_error, request, reply) => {
      sendProblem(
        new AppError('bad_request', 'The path is not a valid URL path.'),
        request,
        reply.headers(SECURITY_HEADERS)
      )
    },
    clientErrorHandler
  })

  app.server.maxConnections = MAX_CONNECTIONS
  // An expectation that nobody knows may be ignored (RFC 9110 section 10.1.1); Node's own refusal has none of our headers.
  app.server.on('checkExpectation', (request, response) => {
    app.server.emit('request', request, response)
  })

  const pluginOptions: PluginOptions = {
    env,
    providers: createRegistry(providers),
    network,
    now,
    redactValue
  }
  await app.register(autoload, { dir: resolveFromRoot('plugins'), options: pluginOptions })
  const isTrustedProxy = compile([...app.config.trustProxy])
  await app.register(autoload, { dir: resolveFromRoot('routes') })
  await app.register(autoload, { dir: resolveFromRoot('routes'), options: { prefix: '/api' } })
  return app
}

function toLogDestination(logger: boolean | LogDestination): LogDestination {
  return typeof logger === 'object' ? logger : destination({ fd: 1, sync: true })
}

/** A stranger's request id is bounded, or replaced. */
function parseRequestId(id: string | string[] | undefined): string | undefined {
  return typeof id === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(id) ? id : undefined
}
