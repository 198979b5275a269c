import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { createAuthenticator } from '../src/access/authenticate.ts'
import { createJwtReader } from '../src/access/jwt.ts'
import { mayUse, namedOwner, ownUser, type Principal, type Rule } from '../src/access/rules.ts'
import { hashOf, prefixOf } from '../src/access/secrets.ts'
import { AppError } from '../src/errors.ts'
import { problems } from '../src/schemas.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call the route; every route says. */
    access?: Rule
  }
  interface FastifyRequest {
    /** Who asks. */
    principal: Principal
    /** The one user whose things the caller may see and change; undefined for who speaks for all. */
    ownUser: () => number | undefined
  }
}

const ANYBODY: Principal = { kind: 'anybody' }
/** As routes/auth/cookie.ts names it. */
const SESSION_COOKIE = 'connect-session'

/** Who may call what. Routes say it beside their schema, and one that does not is refused at the start. */
export default fp(async (app) => {
  const { config, store } = app
  const { bearer, browser } = createAuthenticator({ store, openToAll: config.openToAll, readJwt: config.jwt === null ? null : createJwtReader(config.jwt) })
  const undeclared: RouteOptions[] = []
  await introduce()

  app.decorateRequest('principal')
  app.decorateRequest('ownUser', function (this: FastifyRequest) { return ownUser(this.principal) })

  app.addHook('onRoute', (route) => {
    undeclared.push(route)
    const rule = route.config?.access
    if (typeof rule !== 'object') return
    // What every guarded route may say, in one place.
    const { schema } = route
    if (schema !== undefined) schema.response = { ...problems(401, 403), ...schema.response as object }
  })
  app.addHook('onReady', async () => {
    const forgotten = undeclared.filter(({ config, method }) => config?.access === undefined && method !== 'OPTIONS').map(({ method, url }) => `${String(method)} ${url}`)
    if (forgotten.length > 0) throw new Error(`Routes that do not say who may call them: ${forgotten.join(', ')}`)
  })

  app.addHook('onRequest', async (request, reply) => {
    request.principal = ANYBODY
    try {
      await admit(request)
    } catch (error) {
      if (error instanceof AppError && error.code === 'unauthenticated') await app.limits.countRefused(request, reply)
      throw error
    }
    await app.limits.count(request, reply)
    const rule = request.routeOptions.config.access
    if (typeof rule === 'object') requireRight(request.principal, rule)
  })

  /** Finds out who asks. */
  async function admit (request: FastifyRequest): Promise<void> {
    const rule = request.routeOptions.config.access
    if (rule === undefined || rule === 'open') return
    if (rule === 'docs') {
      if (!config.docsOpen) throw new AppError('not_found', 'There is nothing at this path.')
      return
    }
    const principal = await who(request, rule)
    if (principal === undefined && !config.openToAll) throw new AppError('unauthenticated', 'Send a key or a token: Authorization: Bearer …')
    request.principal = principal ?? ANYBODY
  }

  app.addHook('preHandler', async (request) => {
    const rule = request.routeOptions.config.access
    const own = request.ownUser()
    if (own === undefined || typeof rule !== 'object' || rule.owner === undefined) return
    const named = namedOwner(rule.owner, request)
    // Another one's is as good as nobody's: whoever asks learns no difference.
    if (named !== undefined && named !== own) throw new AppError('user_not_found', 'No user has this id.')
  })

  app.addHook('onError', async (_request: FastifyRequest, reply: FastifyReply, error) => {
    if (error instanceof AppError && error.code === 'unauthenticated') reply.header('www-authenticate', 'Bearer')
  })

  async function who (request: FastifyRequest, rule: Exclude<Rule, string>): Promise<Principal | undefined> {
    const { authorization } = request.headers
    if (authorization !== undefined) return await bearer(authorization)
    // A cookie comes along by itself: it is good for reading only, so that no other site can do anything with it.
    const cookie = rule.session === true && request.method === 'GET' ? request.cookies[`__Host-${SESSION_COOKIE}`] ?? request.cookies[SESSION_COOKIE] : undefined
    return cookie === undefined ? undefined : await browser(cookie)
  }

  async function introduce (): Promise<void> {
    if (config.openToAll && config.production) app.log.warn({ event: 'open_to_all' }, 'API_ACCESS=public: everybody who reaches this service may read and change everything in it.')
    const { bootstrapKey } = config
    if (bootstrapKey !== null) await store.apiKeys.create({ name: 'bootstrap', hash: hashOf(bootstrapKey), prefix: prefixOf(bootstrapKey), scopes: ['admin'], expiresAt: null })
    if (!config.openToAll && config.jwt === null && !await store.apiKeys.any()) app.log.warn({ event: 'nobody_may_call' }, 'No service key is there: make one with npm run api-keys -- create.')
  }
}, { name: 'access', dependencies: ['config', 'database', 'cookies', 'cors', 'errors', 'logging', 'headers', 'limits', 'pressure'] })

/** @throws AppError `forbidden` */
function requireRight (principal: Principal, rule: Exclude<Rule, string>): void {
  if (mayUse(principal, rule)) return
  throw new AppError('forbidden', principal.kind === 'key' ? `The key lacks the scope ${rule.scope}.` : 'This is for service keys, not for people.')
}
