import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { createAuthenticator } from '../src/access/authenticate.ts'
import { ensureBootstrapKey } from '../src/access/bootstrap.ts'
import { createJwtVerifier } from '../src/access/jwt.ts'
import {
  isAllowed,
  requestedOwner,
  restrictedUserId,
  type Principal,
  type AccessRule
} from '../src/access/rules.ts'
import type { PluginOptions } from '../src/app-options.ts'
import { runAsActor } from '../src/lib/actor.ts'
import { AppError } from '../src/lib/errors.ts'
import { isServedOverHttps } from '../src/http/public-url.ts'
import { countHeader } from '../src/http/request-source.ts'
import { problemOrPageResponses, problemResponses } from '../src/http/schemas.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call the route. Every route must declare it. */
    access?: AccessRule
  }
  interface FastifyInstance {
    /**
     * The cookie of a browser that has opened a connect session's link. Named `__Host-…` if
     * browsers use https, so that no sibling host can set it (RFC 6265bis section 4.1.3).
     */
    sessionCookie: { name: string; secure: boolean }
    /** Every route with its access rule, aliases and HEAD included. */
    listRouteAccess: () => Array<{ method: string; url: string; rule: AccessRule | undefined }>
  }
  interface FastifyRequest {
    /** The authenticated caller. */
    principal: Principal
    /**
     * The only user whose data the caller may access; undefined for a caller with access to all.
     */
    restrictedUserId: () => number | undefined
    /** Whether the caller is still authorized; for responses that take long. */
    isStillAuthorized: () => Promise<boolean>
  }
}

const ANONYMOUS: Principal = { kind: 'anonymous' }

/**
 * Authenticates and authorizes callers. Routes declare their rule beside their schema; a route
 * without one stops the start.
 */
export default fp(
  async (app, { now }: PluginOptions) => {
    const { config, store } = app
    const { authenticateBearer, authenticateCookie, isStillValid } = createAuthenticator({
      store,
      now,
      maxKeyAgeMs: config.maxKeyAgeMs,
      publicAccess: config.publicAccess,
      verifyJwt:
        config.jwt === null
          ? null
          : createJwtVerifier(config.jwt, { http: app.httpClient, log: app.log })
    })
    const secure = isServedOverHttps(config)
    const sessionCookie = { name: `${secure ? '__Host-' : ''}connect-session`, secure }
    const routes: RouteOptions[] = []
    const listRouteAccess = () =>
      routes.flatMap(({ method, url, config }) =>
        [method].flat().map((method) => ({ method, url, rule: config?.access }))
      )
    await logAccessMode()

    app.decorate('sessionCookie', sessionCookie)
    app.decorate('listRouteAccess', listRouteAccess)
    app.decorateRequest('principal')
    app.decorateRequest('restrictedUserId', function (this: FastifyRequest) {
      return restrictedUserId(this.principal)
    })
    app.decorateRequest('isStillAuthorized', async function (this: FastifyRequest) {
      // If the check itself fails, as without a database, the caller does not count as authorized.
      return await isStillAuthorized(this).catch(() => false)
    })

    app.addHook('onRoute', (route) => {
      routes.push(route)
      // Adds to each protected or rate-limited route the responses it may give.
      const { schema, config: { access: rule, limit } = {} } = route
      const errorStatuses =
        typeof rule === 'object' ? [401, 403, 429] : limit === 'login' ? [429] : []
      if (schema !== undefined && errorStatuses.length > 0) {
        const describe = limit === 'login' ? problemOrPageResponses : problemResponses
        schema.response = { ...describe(...errorStatuses), ...(schema.response as object) }
      }
    })
    app.addHook('onReady', async () => {
      // Browsers send OPTIONS (CORS preflight) without credentials.
      const undeclaredRoutes = listRouteAccess()
        .filter(({ rule, method }) => rule === undefined && method !== 'OPTIONS')
        .map(({ method, url }) => `${method} ${url}`)
      if (undeclaredRoutes.length > 0) {
        throw new Error(`Routes without config.access: ${undeclaredRoutes.join(', ')}`)
      }
    })

    app.addHook('onRequest', (request, reply, done) => {
      request.principal = ANONYMOUS
      // Most requests to an open service: nothing to look up, nothing to count.
      if (isAnonymous(request) && !app.rateLimiter.isCounted(request)) {
        done()
        return
      }
      admit(request, reply).then(() => {
        done()
      }, done)
    })

    /** Whether anybody may call the route, and nothing says who the caller is. */
    function isAnonymous({ headers, routeOptions }: FastifyRequest): boolean {
      const rule = routeOptions.config.access
      return (
        rule === 'open' ||
        (typeof rule === 'object' &&
          config.publicAccess &&
          headers.authorization === undefined &&
          headers.cookie === undefined &&
          isAllowed(ANONYMOUS, rule))
      )
    }

    async function admit(request: FastifyRequest, reply: FastifyReply): Promise<void> {
      try {
        await authenticate(request)
      } catch (error) {
        if (
          error instanceof AppError &&
          (error.code === 'unauthenticated' || error.code === 'not_found')
        ) {
          await app.rateLimiter.countRefused(request, reply)
        }
        throw error
      }
      await app.rateLimiter.count(request, reply)
      const rule = request.routeOptions.config.access
      if (typeof rule === 'object') assertAllowed(request.principal, rule)
    }

    /** Sets the request's principal. */
    async function authenticate(request: FastifyRequest): Promise<void> {
      const rule = request.routeOptions.config.access
      // The start refuses such a route already; this covers requests injected before the app is
      // ready.
      if (rule === undefined && !request.is404 && request.method !== 'OPTIONS') {
        throw new AppError('forbidden', 'This route declares no access rule.')
      }
      if (rule === undefined || rule === 'open') return
      if (rule === 'docs') {
        if (!config.publicDocs) throw new AppError('not_found', 'This path does not exist.')
        return
      }
      const principal = await resolvePrincipal(request, rule)
      if (principal === undefined && !config.publicAccess) {
        throw new AppError(
          'unauthenticated',
          'Send a service key or token: Authorization: Bearer …'
        )
      }
      request.principal = principal ?? ANONYMOUS
    }

    app.addHook('preHandler', (request, _reply, done) => {
      // Another user's id gets the same answer as an unknown id.
      done(
        mayReachOwner(request) ? undefined : new AppError('user_not_found', 'No user has this id.')
      )
    })

    function mayReachOwner(request: FastifyRequest): boolean {
      const rule = request.routeOptions.config.access
      const ownUserId = request.restrictedUserId()
      if (ownUserId === undefined || typeof rule !== 'object' || rule.owner === undefined) {
        return true
      }
      const requestedOwnerId = requestedOwner(rule.owner, request)
      return requestedOwnerId === undefined || requestedOwnerId === ownUserId
    }

    app.addHook('onError', async (_request: FastifyRequest, reply: FastifyReply, error) => {
      if (error instanceof AppError && error.code === 'unauthenticated') {
        reply.header('www-authenticate', 'Bearer')
      }
    })

    async function resolvePrincipal(
      request: FastifyRequest,
      rule: Exclude<AccessRule, string>
    ): Promise<Principal | undefined> {
      const {
        headers: { authorization },
        raw: { rawHeaders },
        method
      } = request
      // Node keeps the first of several Authorization headers, while a proxy may have checked
      // another.
      if (countHeader(rawHeaders, 'authorization') > 1) {
        throw new AppError('unauthenticated', 'Send one Authorization header.')
      }
      // A JWT's first use creates the user. The audit trail attributes that to the caller,
      // although the user id is not known yet.
      if (authorization !== undefined) {
        return await runAsActor(
          { kind: 'user', ip: request.ip, requestId: request.id },
          async () => await authenticateBearer({ header: authorization, ip: request.ip })
        )
      }
      // Browsers send a cookie by themselves, so it authorizes reading only: another site cannot
      // change anything with it.
      const cookie =
        rule.session === true && (method === 'GET' || method === 'HEAD')
          ? request.cookies[sessionCookie.name]
          : undefined
      return cookie === undefined ? undefined : await authenticateCookie(cookie)
    }

    async function isStillAuthorized(request: FastifyRequest): Promise<boolean> {
      const {
        principal,
        routeOptions: {
          config: { access }
        }
      } = request
      if (principal.kind === 'anonymous' || typeof access !== 'object') return true
      if (principal.kind === 'user') return await isStillValid(principal)
      return (await resolvePrincipal(request, access)) !== undefined
    }

    async function logAccessMode(): Promise<void> {
      if (config.publicAccess && config.production) {
        app.log.warn(
          { event: 'api_public' },
          'API_ACCESS=public: everybody who can reach this service may read and change all its data.'
        )
      }
      const { bootstrapKey } = config
      // Without the current vault key, nothing that is audited can be written.
      const canWrite = !app.heartbeat.lacksCurrentKey()
      if (
        bootstrapKey !== null &&
        canWrite &&
        (await ensureBootstrapKey(store, bootstrapKey)) === 'revoked'
      ) {
        app.log.warn(
          { event: 'bootstrap_key_revoked' },
          'BOOTSTRAP_API_KEY is a revoked key and stays revoked.'
        )
      }
      if (!config.publicAccess && config.jwt === null && !(await store.apiKeys.hasActive())) {
        app.log.warn(
          { event: 'no_api_keys' },
          'No service key exists: create one with "connector api-keys create".'
        )
      }
    }
  },
  {
    name: 'access',
    dependencies: [
      'config',
      'database',
      'cookies',
      'cors',
      'errors',
      'http-client',
      'vault',
      'logging',
      'security-headers',
      'rate-limit',
      'load-shedding'
    ]
  }
)

/** @throws AppError `forbidden` */
function assertAllowed(principal: Principal, rule: Exclude<AccessRule, string>): void {
  if (!isAllowed(principal, rule)) throw new AppError('forbidden', describeRefusal(principal, rule))
}

function describeRefusal({ kind }: Principal, { scope }: Exclude<AccessRule, string>): string {
  if (kind === 'key') return `The key lacks the scope ${scope}.`
  return kind === 'session'
    ? 'A connect session may only connect accounts.'
    : 'This route is for service keys only.'
}
