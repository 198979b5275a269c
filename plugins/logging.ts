import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { isSecretName } from '../src/lib/redact.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** True if the log reports many such requests at once and skips this one. */
    suppressLog: boolean
    /**
     * Returns what a log line may say about a request: parameters with secrets masked, and
     * harmless headers.
     */
    getLogFields: () => { query_params: Record<string, unknown>; headers: Record<string, unknown> }
  }
}

const SAFE_HEADERS = [
  'user-agent',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-real-ip',
  'via'
] as const

/** Sets X-Request-ID on every response and logs one line per request. */
export default fp(
  async (app) => {
    app.decorateRequest('getLogFields', function (this: FastifyRequest) {
      return { query_params: redactQuery(this), headers: pickSafeHeaders(this.headers) }
    })

    app.decorateRequest('suppressLog', false)

    app.addHook('onRequest', (request, reply, done) => {
      reply.header('x-request-id', request.id)
      done()
    })

    app.addHook('onResponse', (request, reply, done) => {
      // A write waits until the log's reader has caught up, which takes long during a flood.
      if (request.suppressLog) return done()
      request.log.info({
        event: 'request_completed',
        status_code: reply.statusCode,
        duration_ms: Math.round(reply.elapsedTime * 10) / 10,
        ...request.getLogFields()
      })
      done()
    })
  },
  { name: 'logging', dependencies: ['config'] }
)

/** Only the values of parameters that the route declares are logged: any other may hold anything. */
function redactQuery({ query, routeOptions }: FastifyRequest): Record<string, unknown> {
  const { properties = {} } = (routeOptions.schema?.querystring ?? {}) as { properties?: object }
  return Object.fromEntries(
    Object.entries(query as Record<string, unknown>).map(([name, value]) => [
      name,
      Object.hasOwn(properties, name) && !isSecretName(name) ? value : '[redacted]'
    ])
  )
}

function pickSafeHeaders(headers: FastifyRequest['headers']): Record<string, unknown> {
  const picked: Record<string, unknown> = {}
  for (const name of SAFE_HEADERS) if (headers[name] !== undefined) picked[name] = headers[name]
  return picked
}
