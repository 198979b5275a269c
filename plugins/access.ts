import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { createAuthenticator } from '../src/access/authenticate.ts'
import { bootstrap } from '../src/access/bootstrap.ts'
import { createJwtReader } from '../src/access/jwt.ts'
import { mayUse, namedOwner, ownUser, type Principal, type Rule } from '../src/access/rules.ts'
import { acting } from '../src/lib/actor.ts'
import { AppError } from '../src/lib/errors.ts'
import { isSecure } from '../src/http/public-url.ts'
import { problems } from '../src/http/schemas.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call the route; every route says. */
    access?: Rule
  }
  interface FastifyInstance {
    /** Of a browser that has opened a connect session's link. `__Host-` where browsers come by https: no neighbour of this host can set that (RFC 6265bis section 4.1.3). */
    sessionCookie: { name: string; secure: boolean }
    /** Every route and who may call it, aliases and HEAD included. */
    accessTable: () => Array<{ method: string; url: string; rule: Rule | undefined }>
  }
  interface FastifyRequest {
    /** Who asks. */
    principal: Principal
    /** The one user whose things the caller may see and change; undefined for who speaks for all. */
    ownUser: () => number | undefined
    /** Whether the caller would still be let in: for answers that take long. */
    isStillAdmitted: () => Promise<boolean>
  }
}

const ANYBODY: Principal = { kind: 'anybody' }

/** Who may call what. Routes say it beside their schema, and one that does not is refused at the start. */
export default fp(
  async (app) => {
    const { config, store } = app
    const { bearer, browser, isStill } = createAuthenticator({
      store,
      openToAll: config.openToAll,
      readJwt: config.jwt === null ? null : createJwtReader(config.jwt)
    })
    const secure = isSecure(config)
    const sessionCookie = { name: `${secure ? '__Host-' : ''}connect-session`, secure }
    const routes: RouteOptions[] = []
    const accessTable = () =>
      routes.flatMap(({ method, url, config }) =>
        [method].flat().map((method) => ({ method, url, rule: config?.access }))
      )
    await introduce()

    app.decorate('sessionCookie', sessionCookie)
    app.decorate('accessTable', accessTable)
    app.decorateRequest('principal')
    app.decorateRequest('ownUser', function (this: FastifyRequest) {
      return ownUser(this.principal)
    })
    app.decorateRequest('isStillAdmitted', async function (this: FastifyRequest) {
      // What cannot be asked at the moment is no yes.
      return await stillAdmitted(this).catch(() => false)
    })

    app.addHook('onRoute', (route) => {
      routes.push(route)
      // What every guarded route may say, and every one that is counted, in one place.
      const { schema, config: { access: rule, limit } = {} } = route
      const refusals = typeof rule === 'object' ? [401, 403, 429] : limit === 'login' ? [429] : []
      if (schema !== undefined && refusals.length > 0) {
        schema.response = { ...problems(...refusals), ...(schema.response as object) }
      }
    })
    app.addHook('onReady', async () => {
      // OPTIONS is what browsers ask before they send anything.
      const forgotten = accessTable()
        .filter(({ rule, method }) => rule === undefined && method !== 'OPTIONS')
        .map(({ method, url }) => `${method} ${url}`)
      if (forgotten.length > 0) {
        throw new Error(`Routes that do not say who may call them: ${forgotten.join(', ')}`)
      }
    })

    app.addHook('onRequest', async (request, reply) => {
      request.principal = ANYBODY
      try {
        await admit(request)
      } catch (error) {
        if (
          error instanceof AppError &&
          (error.code === 'unauthenticated' || error.code === 'not_found')
        ) {
          await app.limits.countRefused(request, reply)
        }
        throw error
      }
      await app.limits.count(request, reply)
      const rule = request.routeOptions.config.access
      if (typeof rule === 'object') requireRight(request.principal, rule)
    })

    /** Finds out who asks. */
    async function admit(request: FastifyRequest): Promise<void> {
      const rule = request.routeOptions.config.access
      // The start has refused this already; who injects requests all the same is refused too.
      if (rule === undefined && !request.is404 && request.method !== 'OPTIONS') {
        throw new AppError('forbidden', 'Nobody has said who may use this.')
      }
      if (rule === undefined || rule === 'open') return
      if (rule === 'docs') {
        if (!config.docsOpen) throw new AppError('not_found', 'There is nothing at this path.')
        return
      }
      const principal = await who(request, rule)
      if (principal === undefined && !config.openToAll) {
        throw new AppError('unauthenticated', 'Send a key or a token: Authorization: Bearer …')
      }
      request.principal = principal ?? ANYBODY
    }

    app.addHook('preHandler', async (request) => {
      const rule = request.routeOptions.config.access
      const own = request.ownUser()
      if (own === undefined || typeof rule !== 'object' || rule.owner === undefined) return
      const named = namedOwner(rule.owner, request)
      // Another one's is as good as nobody's: whoever asks learns no difference.
      if (named !== undefined && named !== own) {
        throw new AppError('user_not_found', 'No user has this id.')
      }
    })

    app.addHook('onError', async (_request: FastifyRequest, reply: FastifyReply, error) => {
      if (error instanceof AppError && error.code === 'unauthenticated') {
        reply.header('www-authenticate', 'Bearer')
      }
    })

    async function who(
      request: FastifyRequest,
      rule: Exclude<Rule, string>
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
        return await acting(
          { kind: 'user', ip: request.ip, requestId: request.id },
          async () => await bearer(authorization)
        )
      }
      // A cookie comes along by itself: it is good for reading only, so that no other site can do anything with it.
      const cookie =
        rule.session === true && (method === 'GET' || method === 'HEAD')
          ? request.cookies[sessionCookie.name]
          : undefined
      return cookie === undefined ? undefined : await browser(cookie)
    }

    async function stillAdmitted(request: FastifyRequest): Promise<boolean> {
      const {
        principal,
        headers: { authorization = '' },
        routeOptions: {
          config: { access }
        }
      } = request
      if (principal.kind === 'anybody' || typeof access !== 'object') return true
      if (principal.kind === 'user') return await isStill(principal.userId, authorization)
      return (await who(request, access)) !== undefined
    }

    async function introduce(): Promise<void> {
      if (config.openToAll && config.production) {
        app.log.warn(
          { event: 'api_public' },
          'API_ACCESS=public: everybody who reaches this service may read and change everything in it.'
        )
      }
      const { bootstrapKey } = config
      if (bootstrapKey !== null && (await bootstrap(store, bootstrapKey)) === 'revoked') {
        app.log.warn(
          { event: 'bootstrap_key_revoked' },
          'BOOTSTRAP_API_KEY is a key that has been revoked, and stays so.'
        )
      }
      if (!config.openToAll && config.jwt === null && !(await store.apiKeys.any())) {
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
function requireRight(principal: Principal, rule: Exclude<Rule, string>): void {
  if (!mayUse(principal, rule)) throw new AppError('forbidden', refusal(principal, rule))
}

function refusal({ kind }: Principal, { scope }: Exclude<Rule, string>): string {
  if (kind === 'key') return `The key lacks the scope ${scope}.`
  return kind === 'session'
    ? 'A connect session is good for connecting, and for nothing else.'
    : 'This is for service keys, not for people.'
}
