import { randomUUID } from 'node:crypto'
import autoload from '@fastify/autoload'
import { compile } from '@fastify/proxy-addr'
import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import type { Dispatcher } from 'undici'
import { ROUTER_OPTIONS, sendProblem } from './http/problem.ts'
import { getRequestPath } from './http/request-path.ts'
import { SECURITY_HEADERS } from './http/security-headers.ts'
import type { BackoffLimits } from './lib/backoff.ts'
import { AppError } from './lib/errors.ts'
import { clientErrorHandler } from './http/client-error.ts'
import { startInOrder } from './http/pipelining.ts'
import { createLazyLogger } from './http/lazy-logger.ts'
import { createLogger } from './lib/logger.ts'
import { createLogOutput, type LogDestination } from './lib/log-output.ts'
import { builtInProviders } from './providers/index.ts'
import type { Provider } from './providers/provider.ts'
import { createRegistry } from './providers/registry.ts'
import { resolveFromRoot } from './lib/root-folder.ts'
import type { PluginOptions } from './app-options.ts'

/** Upper limit of a request body; legitimate ones are far smaller. */
const MAX_BODY_BYTES = 64 * 1024
const MINUTE_MS = 60_000
/** Closes clients that send their header slower than any browser or back end. */
const HEADERS_TIMEOUT_MS = 15_000
/** How often Node checks for requests that have not arrived completely. */
const CONNECTIONS_CHECK_INTERVAL_MS = 5_000
/** With the interval of the check, a request that arrives slowly ends within a minute. */
const REQUEST_TIMEOUT_MS = 50_000

export interface AppOptions {
  env?: NodeJS.ProcessEnv
  /** The products to connect; the first one is the fallback. Default: the built-in ones. */
  providers?: readonly [Provider, ...Provider[]]
  /** Sends every call to Atlassian; default: a pool with the configured time-outs. */
  network?: Dispatcher
  /** Returns milliseconds since the epoch. */
  now?: () => number
  /** Delays before failed calls to Atlassian are repeated. Default: seconds. */
  upstreamBackoff?: BackoffLimits
  /** true: standard output; a destination: there; false: no log. */
  logger?: boolean | LogDestination
}

/**
 * Builds the whole service, the same for production and tests; only the options differ.
 *
 * @throws StartError with every reason not to start
 */
export async function buildApp({
  env = process.env,
  providers = builtInProviders,
  network,
  now = Date.now,
  upstreamBackoff,
  logger = false
}: AppOptions = {}): Promise<FastifyInstance> {
  const { logger: loggerInstance, redactValue, writeLine } = createLogger(toLogDestination(logger))
  const app: FastifyInstance = Fastify({
    ...(logger === false
      ? { logger: false }
      : { loggerInstance: loggerInstance as FastifyBaseLogger }),
    logController: new LogController({
      disableRequestLogging: true,
      requestIdLogLabel: 'request_id'
    }),
    genReqId: ({ headers }) => parseRequestId(headers['x-request-id']) ?? randomUUID(),
    // The absolute form of a request target (RFC 9112 section 3.2.2) contains a host, which is
    // never taken from requests.
    rewriteUrl: ({ url = '/' }) => url.replace(/^https?:\/\/[^/?#]*/i, '') || '/',
    childLoggerFactory: (parent, bindings, options, { method, url }) =>
      createLazyLogger(parent, () =>
        parent.child({ ...bindings, method, path: getRequestPath(url) }, options)
      ),
    // Defined below: the setting is known only after the `config` plugin has been registered.
    trustProxy: (address, hop) => isTrustedProxy(address, hop),
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    // Migrations of a large database run in a plugin: with avvio's default, 10 s, the start would
    // end with a stack trace.
    pluginTimeout: 10 * MINUTE_MS,
    connectionTimeout: 2 * MINUTE_MS,
    keepAliveTimeout: 72_000,
    maxRequestsPerSocket: 10_000,
    http: {
      headersTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: CONNECTIONS_CHECK_INTERVAL_MS,
      requireHostHeader: false
    },
    forceCloseConnections: 'idle',
    // While the service stops, /healthz reports it and every other route still answers.
    return503OnClosing: false,
    routerOptions: ROUTER_OPTIONS,
    frameworkErrors: (_error, request, reply) => {
      startInOrder(request.raw, reply.raw, () => {
        sendProblem(
          new AppError('bad_request', 'The path is not a valid URL path.'),
          request,
          reply.headers(SECURITY_HEADERS)
        )
      })
    },
    clientErrorHandler
  })

  // An unknown expectation may be ignored (RFC 9110 section 10.1.1); Node's own refusal lacks
  // our headers.
  app.server.on('checkExpectation', (request, response) => {
    app.server.emit('request', request, response)
  })

  const pluginOptions: PluginOptions = {
    env,
    providers: createRegistry(providers),
    network,
    now,
    upstreamBackoff,
    redactValue,
    writeLine: logger === false ? () => true : writeLine
  }
  await app.register(autoload, { dir: resolveFromRoot('plugins'), options: pluginOptions })
  const isTrustedProxy = compile([...app.config.trustProxy])
  await app.register(autoload, { dir: resolveFromRoot('routes') })
  await app.register(autoload, { dir: resolveFromRoot('routes'), options: { prefix: '/api' } })
  return app
}

function toLogDestination(logger: boolean | LogDestination): LogDestination {
  return typeof logger === 'object' ? logger : createLogOutput()
}

/**
 * Accepts a caller's request id only in a bounded form, and not as the name of a property that every
 * object has: readers of the log may use it as a key (`__proto__`).
 */
function parseRequestId(id: string | string[] | undefined): string | undefined {
  return typeof id === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(id) && !(id in Object.prototype)
    ? id
    : undefined
}
