import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Principal } from '../src/access/rules.ts'
import type { PluginOptions } from '../src/app-options.ts'
import type { ClientAddressMode } from '../src/config/config.ts'
import { formatClientAddress } from '../src/http/client-address.ts'
import { getHttpStatus } from '../src/http/problem.ts'
import { getRequestPath } from '../src/http/request-path.ts'
import type { AppError } from '../src/lib/errors.ts'
import { isSecretName } from '../src/lib/redact.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** True if the log reports many such requests at once and skips this one. */
    suppressLog: boolean
    /** The problem document that was sent. */
    problem?: AppError
    /** Bytes that the connection had sent before a streamed response began. */
    bytesBeforeStream?: number
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
/** Headers that contain the client's address. */
const ADDRESS_HEADERS: readonly string[] = ['x-forwarded-for', 'x-real-ip']
/** Clients whose fields are kept as JSON. */
const MAX_CACHED_CLIENTS = 500
const MAX_CACHED_KEY_CHARS = 1_000
/** Statuses whose reason the log gives: it contains nothing that the caller sent. */
const REASON_STATUSES = [401, 403, 429]

/** Sets X-Request-ID on every response and logs one line per request. */
export default fp(
  async (app, { writeLine }: PluginOptions) => {
    const { logClientAddress } = app.config
    app.decorateRequest('getLogFields', function (this: FastifyRequest) {
      return {
        query_params: redactQuery(this),
        headers: pickSafeHeaders(this.headers, logClientAddress !== 'none')
      }
    })

    app.decorateRequest('suppressLog', false)
    app.decorateRequest('problem')
    app.decorateRequest('bytesBeforeStream')

    app.addHook('onRequest', (request, reply, done) => {
      reply.header('x-request-id', request.id)
      done()
    })

    app.addHook('onSend', (request, reply, payload, done) => {
      if (reply.getHeader('content-length') === undefined && typeof payload === 'object') {
        request.bytesBeforeStream = request.raw.socket.bytesWritten
      }
      done()
    })

    const describeForeign = createForeignFields(logClientAddress)
    const enabledLevels = listEnabledLevels(app.log.level)
    app.addHook('onResponse', (request, reply, done) => {
      if (request.suppressLog) return done()
      const isHealthy = request.routeOptions.config.anyHost === true && reply.statusCode < 400
      const level = isHealthy ? 'debug' : 'info'
      if (!enabledLevels.includes(level)) return done()
      const { problem } = request
      const own = {
        event: 'request_completed',
        status_code: reply.statusCode,
        duration_ms: Math.round(reply.elapsedTime * 10) / 10,
        bytes_sent: countBytes(request, reply),
        caller: describeCaller(request.principal)
      }
      if (problem !== undefined || !writeLine(level, describeForeign(request), toFields(own))) {
        request.log[level]({
          ...own,
          client_address: formatClientAddress(request.ip, logClientAddress),
          ...describeProblem(problem),
          ...request.getLogFields()
        })
      }
      done()
    })
  },
  { name: 'logging', dependencies: ['config'] }
)

/** Which levels of request lines a log level includes. */
function listEnabledLevels(level: string): string[] {
  if (level === 'trace' || level === 'debug') return ['debug', 'info']
  return level === 'info' ? ['info'] : []
}

/** The members of a JSON object, each after a comma. */
function toFields(fields: object): string {
  return `,${JSON.stringify(fields).slice(1, -1)}`
}

/** @returns a function that describes what a request contains, as fields of a line */
function createForeignFields(logClientAddress: ClientAddressMode) {
  /** Clients come back: the fields of what was seen before, by address and headers. */
  const cache = new Map<string, string>()
  return (request: FastifyRequest): string => {
    const { headers, ip } = request
    let key = ip
    for (const name of SAFE_HEADERS) {
      key += headers[name] === undefined ? '\n' : `\n=${String(headers[name])}`
    }
    let client = cache.get(key)
    if (client === undefined) {
      client = toFields({
        client_address: formatClientAddress(ip, logClientAddress),
        headers: pickSafeHeaders(headers, logClientAddress !== 'none')
      })
      if (cache.size >= MAX_CACHED_CLIENTS) cache.clear()
      if (key.length < MAX_CACHED_KEY_CHARS) cache.set(key, client)
    }
    // Ids and methods have no characters to escape (src/app.ts; llhttp knows the methods).
    return (
      `,"request_id":"${request.id}","method":"${request.method}"` +
      `,"path":${JSON.stringify(getRequestPath(request.raw.url))}` +
      `,"query_params":${JSON.stringify(redactQuery(request))}${client}`
    )
  }
}

/** Only the values of parameters that the route declares are logged: any other may hold anything. */
function redactQuery({ query, routeOptions }: FastifyRequest): Record<string, unknown> {
  const { properties = {} } = (routeOptions.schema?.querystring ?? {}) as { properties?: object }
  const redacted: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(query as Record<string, unknown>)) {
    // Readers of the log may use a name as a key (`__proto__`).
    if (name in Object.prototype) continue
    const isShown = Object.hasOwn(properties, name) && !isSecretName(name)
    redacted[name] = isShown ? value : '[redacted]'
  }
  return redacted
}

/** The body's bytes; of a streamed response also its header and chunk sizes. */
function countBytes(request: FastifyRequest, reply: FastifyReply): number | undefined {
  const { bytesBeforeStream, raw } = request
  if (bytesBeforeStream !== undefined) return raw.socket.bytesWritten - bytesBeforeStream
  if (request.method === 'HEAD' || !reply.raw.writableEnded) return undefined
  const length = reply.getHeader('content-length')
  return length === undefined ? 0 : Number(length)
}

/** The kind and id of who called; never a secret. */
function describeCaller(principal: Principal | undefined): string | undefined {
  if (principal === undefined) return undefined
  if (principal.kind === 'anonymous') return principal.kind
  return principal.kind === 'user'
    ? `user:${principal.userId}`
    : `${principal.kind}:${principal.id}`
}

function describeProblem(problem: AppError | undefined): object | undefined {
  if (problem === undefined) return undefined
  return {
    error_code: problem.code,
    ...(REASON_STATUSES.includes(getHttpStatus(problem)) ? { reason: problem.message } : {})
  }
}

function pickSafeHeaders(
  headers: FastifyRequest['headers'],
  hasAddresses: boolean
): Record<string, unknown> {
  const picked: Record<string, unknown> = {}
  for (const name of SAFE_HEADERS) {
    if (headers[name] === undefined) continue
    picked[name] = hasAddresses || !ADDRESS_HEADERS.includes(name) ? headers[name] : '[redacted]'
  }
  return picked
}
