import rateLimit, {
  type FastifyRateLimitStore,
  type FastifyRateLimitStoreCtor
} from '@fastify/rate-limit'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { AppError } from '../src/lib/errors.ts'
import { addressBucket, callerOf } from '../src/http/rate-limit-key.ts'
import { createSharedCounts } from '../src/http/rate-limit-store.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** `login`: counted by the stricter limit of logins. `none`: answered always. Else: the general limit. */
    limit?: 'login' | 'none'
  }
  interface FastifyInstance {
    limits: {
      /** Counts a request, once it is known who asks. @throws AppError `too_many_requests` */
      count: (request: FastifyRequest, reply: FastifyReply) => Promise<void>
      /** Counts a credential that is not good, or a path that is not answered here. @throws AppError `too_many_requests` */
      countRefused: (request: FastifyRequest, reply: FastifyReply) => Promise<void>
    }
  }
}

const WINDOW_MS = 60_000
/** Callers that one process keeps counts of. */
const MOST_CALLERS = 10_000

/**
 * How often one caller may ask. Every request counts once: wrong credentials and paths that do not exist by address, logins
 * by a limit of their own, everything else by who asks. Instances on one PostgreSQL count together.
 */
export default fp(
  async (app) => {
    const {
      config: { limits },
      store
    } = app
    await app.register(rateLimit, {
      global: false,
      timeWindow: WINDOW_MS,
      enableDraftSpec: true,
      cache: MOST_CALLERS,
      // While the database is away the request itself says so.
      skipOnError: true,
      errorResponseBuilder: (_request, { ttl }) =>
        new AppError('too_many_requests', 'Too many requests. Wait as long as Retry-After says.', {
          retryAfterS: Math.max(1, Math.ceil(ttl / 1000))
        }),
      ...(store.isShared ? { store: sharedStore() } : {})
    })

    const general = limit('all', limits.perMinute, callerKey)
    const login = limit('login', limits.loginsPerMinute, callerKey)
    const refused = limit('refused', limits.refusedPerMinute, (request) =>
      addressBucket(request.ip)
    )

    app.decorate('limits', {
      async count(request, reply) {
        const { access, limit: which } = request.routeOptions.config
        if (which === 'none' || access === 'docs') return
        // What browsers ask before a request of their own is no guess, also where no origin may call and nothing answers it.
        const isGuess = request.is404 && request.method !== 'OPTIONS'
        await (isGuess ? refused : which === 'login' ? login : general)(request, reply)
      },
      countRefused: refused
    })

    function limit(
      name: string,
      max: number,
      who: (request: FastifyRequest) => string
    ): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
      if (max === 0) return async () => {}
      const handler = app.rateLimit({
        max,
        keyGenerator: (request) => `${name} ${who(request)}`
      }) as unknown as (request: FastifyRequest, reply: FastifyReply) => Promise<void>
      return async (request, reply) => {
        await handler(request, reply)
      }
    }

    function callerKey({ principal, ip }: FastifyRequest): string {
      return callerOf(principal, ip)
    }

    /** The store as the package wants it, over ours. */
    function sharedStore(): FastifyRateLimitStoreCtor {
      const hit = createSharedCounts(store.rates.add, Date.now)
      return class Shared implements FastifyRateLimitStore {
        incr(
          key: string,
          callback: (error: Error | null, result?: { current: number; ttl: number }) => void,
          timeWindow = WINDOW_MS,
          max = 0
        ): void {
          hit(key, timeWindow, max).then(({ count, leftMs }) => {
            callback(null, { current: count, ttl: leftMs })
          }, callback)
        }

        child(): FastifyRateLimitStore {
          return this
        }
      }
    }
  },
  {
    name: 'rate-limit',
    dependencies: ['config', 'database', 'logging', 'security-headers', 'errors', 'cors']
  }
)
