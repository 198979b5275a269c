import rateLimit, {
  type FastifyRateLimitStore,
  type FastifyRateLimitStoreCtor
} from '@fastify/rate-limit'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { AppError } from '../src/lib/errors.ts'
import { deriveIpKey, deriveRateLimitKey } from '../src/http/rate-limit-key.ts'
import { createSharedCounter } from '../src/http/rate-limit-store.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** `login`: counted by the stricter limit of logins. `none`: answered always. Else: the general limit. */
    limit?: 'login' | 'none'
  }
  interface FastifyInstance {
    rateLimiter: {
      /** Counts a request, once it is known who asks. @throws AppError `too_many_requests` */
      count: (request: FastifyRequest, reply: FastifyReply) => Promise<void>
      /** Counts a credential that is not good, or a path that is not answered here. @throws AppError `too_many_requests` */
      countRefused: (request: FastifyRequest, reply: FastifyReply) => Promise<void>
    }
  }
}

const WINDOW_MS = 60_000
/** Callers that one process keeps counts of. */
const MAX_CACHED_KEYS = 10_000

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
      cache: MAX_CACHED_KEYS,
      // While the database is away the request itself says so.
      skipOnError: true,
      errorResponseBuilder: (_request, { ttl }) =>
        new AppError(
          'too_many_requests',
          'Too many requests. Retry after the time in Retry-After.',
          {
            retryAfterS: Math.max(1, Math.ceil(ttl / 1000))
          }
        ),
      ...(store.isShared ? { store: createSharedStoreClass() } : {})
    })

    const generalLimit = createLimit('all', limits.requestsPerMinute, getCallerKey)
    const loginLimit = createLimit('login', limits.loginsPerMinute, getCallerKey)
    const rejectedLimit = createLimit('refused', limits.refusedPerMinute, (request) =>
      deriveIpKey(request.ip)
    )

    app.decorate('rateLimiter', {
      async count(request, reply) {
        const { access, limit: limitName } = request.routeOptions.config
        if (limitName === 'none' || access === 'docs') return
        // What browsers ask before a request of their own is no guess, also where no origin may call and nothing answers it.
        const isGuess = request.is404 && request.method !== 'OPTIONS'
        await (isGuess ? rejectedLimit : limitName === 'login' ? loginLimit : generalLimit)(
          request,
          reply
        )
      },
      countRefused: rejectedLimit
    })

    function createLimit(
      name: string,
      max: number,
      getKey: (request: FastifyRequest) => string
    ): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
      if (max === 0) return async () => {}
      const handler = app.rateLimit({
        max,
        keyGenerator: (request) => `${name} ${getKey(request)}`
      }) as unknown as (request: FastifyRequest, reply: FastifyReply) => Promise<void>
      return async (request, reply) => {
        await handler(request, reply)
      }
    }

    function getCallerKey({ principal, ip }: FastifyRequest): string {
      return deriveRateLimitKey(principal, ip)
    }

    /** The store as the package wants it, over ours. */
    function createSharedStoreClass(): FastifyRateLimitStoreCtor {
      const hit = createSharedCounter(store.rateLimits.add, Date.now)
      return class SharedRateLimitStore implements FastifyRateLimitStore {
        incr(
          key: string,
          callback: (error: Error | null, result?: { current: number; ttl: number }) => void,
          timeWindow = WINDOW_MS,
          max = 0
        ): void {
          hit(key, timeWindow, max).then(({ count, remainingMs }) => {
            callback(null, { current: count, ttl: remainingMs })
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
