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
import { runAsActor } from '../src/lib/actor.ts'
import { AppError } from '../src/lib/errors.ts'
import { isServedOverHttps } from '../src/http/public-url.ts'
import { problemResponses } from '../src/http/schemas.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call the route; every route says. */
    access?: AccessRule
  }
  interface FastifyInstance {
    /** Of a browser that has opened a connect session's link. `__Host-` where browsers come by https: no neighbour of this host can set that (RFC 6265bis section 4.1.3). */
    sessionCookie: { name: string; secure: boolean }
    /** Every route and who may call it, aliases and HEAD included. */
    listRouteAccess: () => Array<{ method: string; url: string; rule: AccessRule | undefined }>
  }
  interface FastifyRequest {
    /** Who asks. */
    principal: Principal
    /** The one user whose things the caller may see and change; undefined for who speaks for all. */
    restrictedUserId: () => number | undefined
    /** Whether the caller would still be let in: for answers that take long. */
    isStillAuthorized: () => Promise<boolean>
  }
}

const ANONYMOUS: Principal = { kind: 'anonymous' }

/** Who may call what. Routes say it beside their schema, and one that does not is refused at the start. */
export default fp(
  async (app) => {
    const { config, store } = app
    const { authenticateBearer, authenticateCookie, isStillValid } = createAuthenticator({
      store,
      publicAccess: config.publicAccess,
      verifyJwt: config.jwt === null ? null : createJwtVerifier(config.jwt)
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
      // What cannot be asked at the moment is no yes.
      return await isStillAuthorized(this).catch(() => false)
    })

    app.addHook('onRoute', (route) => {
      routes.push(route)
      // What every guarded route may say, and every one that is counted, in one place.
      const { schema, config: { access: rule, limit } = {} } = route
      const errorStatuses =
        typeof rule === 'object' ? [401, 403, 429] : limit === 'login' ? [429] : []
      if (schema !== undefined && errorStatuses.length > 0) {
        schema.response = { ...problemResponses(...errorStatuses), ...(schema.response as object) }
      }
    })
    app.addHook('onReady', async () => {
      // OPTIONS is what browsers ask before they send anything.
      const undeclaredRoutes = listRouteAccess()
        .filter(({ rule, method }) => rule === undefined && method !== 'OPTIONS')
        .map(({ method, url }) => `${method} ${url}`)
      if (undeclaredRoutes.length > 0) {
        throw new Error(`Routes that do not say who may call them: ${undeclaredRoutes.join(', ')}`)
      }
    })

    app.addHook('onRequest', async (request, reply) => {
      request.principal = ANONYMOUS
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
    })

    /** Finds out who asks. */
    async function authenticate(request: FastifyRequest): Promise<void> {
      const rule = request.routeOptions.config.access
      // The start has refused this already; who injects requests all the same is refused too.
      if (rule === undefined && !request.is404 && request.method !== 'OPTIONS') {
        throw new AppError('forbidden', 'Nobody has said who may use this.')
      }
      if (rule === undefined || rule === 'open') return
      if (rule === 'docs') {
        if (!config.publicDocs) throw new AppError('not_found', 'There is nothing at this path.')
        return
      }
      const principal = await resolvePrincipal(request, rule)
      if (principal === undefined && !config.publicAccess) {
        throw new AppError('unauthenticated', 'Send a key or a token: Authorization: Bearer …')
      }
      request.principal = principal ?? ANONYMOUS
    }

    app.addHook('preHandler', async (request) => {
      const rule = request.routeOptions.config.access
      const ownUserId = request.restrictedUserId()
      if (ownUserId === undefined || typeof rule !== 'object' || rule.owner === undefined) return
      const requestedOwnerId = requestedOwner(rule.owner, request)
      // Another one's is as good as nobody's: whoever asks learns no difference.
      if (requestedOwnerId !== undefined && requestedOwnerId !== ownUserId) {
        throw new AppError('user_not_found', 'No user has this id.')
      }
    })

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
      // Node keeps the first of several, and a proxy in front may have looked at another.
      if (
        rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'authorization')
          .length > 1
      ) {
        throw new AppError('unauthenticated', 'Send one Authorization header.')
      }
      // Whom a token makes a user is put down as the one who did it, though their number is not known before.
      if (authorization !== undefined) {
        return await runAsActor(
          { kind: 'user', ip: request.ip, requestId: request.id },
          async () => await authenticateBearer(authorization)
        )
      }
      // A cookie comes along by itself: it is good for reading only, so that no other site can do anything with it.
      const cookie =
        rule.session === true && (method === 'GET' || method === 'HEAD')
          ? request.cookies[sessionCookie.name]
          : undefined
      return cookie === undefined ? undefined : await authenticateCookie(cookie)
    }

    async function isStillAuthorized(request: FastifyRequest): Promise<boolean> {
      const {
        principal,
        headers: { authorization = '' },
        routeOptions: {
          config: { access }
        }
      } = request
      if (principal.kind === 'anonymous' || typeof access !== 'object') return true
      if (principal.kind === 'user') return await isStillValid(principal.userId, authorization)
      return (await resolvePrincipal(request, access)) !== undefined
    }

    async function logAccessMode(): Promise<void> {
      if (config.publicAccess && config.production) {
        app.log.warn(
          { event: 'api_public' },
          'API_ACCESS=public: everybody who reaches this service may read and change everything in it.'
        )
      }
      const { bootstrapKey } = config
      if (bootstrapKey !== null && (await ensureBootstrapKey(store, bootstrapKey)) === 'revoked') {
        app.log.warn(
          { event: 'bootstrap_key_revoked' },
          'BOOTSTRAP_API_KEY is a key that has been revoked, and stays so.'
        )
      }
      if (!config.publicAccess && config.jwt === null && !(await store.apiKeys.hasActive())) {
        app.log.warn(
          { event: 'no_api_keys' },
          'No service key is there: make one with npm run api-keys -- create.'
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
    ? 'A connect session is good for connecting, and for nothing else.'
    : 'This is for service keys, not for people.'
}
