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
    /**
     * `login`: counted against the stricter login limit. `none`: never limited. Otherwise: the
     * general limit.
     */
    limit?: 'login' | 'none'
  }
  interface FastifyInstance {
    rateLimiter: {
      /** Whether a request of an authenticated caller is counted at all. */
      isCounted: (request: FastifyRequest) => boolean
      /**
       * Counts a request of an authenticated caller.
       *
       * @throws AppError `too_many_requests`
       */
      count: (request: FastifyRequest, reply: FastifyReply) => Promise<void>
      /**
       * Counts a request with an invalid credential or an unknown path.
       *
       * @throws AppError `too_many_requests`
       */
      countRefused: (request: FastifyRequest, reply: FastifyReply) => Promise<void>
    }
  }
}

/** Counts a request. @throws AppError `too_many_requests` */
type Limit = (request: FastifyRequest, reply: FastifyReply) => Promise<void>

const WINDOW_MS = 60_000
/** Callers counted per process. */
const MAX_CACHED_KEYS = 10_000

/**
 * Limits the requests of one caller. Every request counts once: invalid credentials and unknown
 * paths by IP address, logins against a limit of their own, everything else by caller. Instances
 * on one PostgreSQL count together.
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
      // While the database is down, the request itself fails with 503.
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
    const refusedLimit = createLimit('refused', limits.refusedPerMinute, (request) =>
      deriveIpKey(request.ip)
    )

    app.decorate('rateLimiter', {
      isCounted: (request) => findLimit(request) !== undefined,
      async count(request, reply) {
        await findLimit(request)?.(request, reply)
      },
      async countRefused(request, reply) {
        await refusedLimit?.(request, reply)
      }
    })

    function findLimit(request: FastifyRequest): Limit | undefined {
      const { access, limit: limitName } = request.routeOptions.config
      if (limitName === 'none' || access === 'docs') return undefined
      // A CORS preflight matches no route where no origin is allowed, and is not counted as unknown.
      const isUnknownPath = request.is404 && request.method !== 'OPTIONS'
      return isUnknownPath ? refusedLimit : limitName === 'login' ? loginLimit : generalLimit
    }

    function createLimit(
      name: string,
      max: number,
      getKey: (request: FastifyRequest) => string
    ): Limit | undefined {
      if (max === 0) return undefined
      const handler = app.rateLimit({
        max,
        keyGenerator: (request) => `${name} ${getKey(request)}`
      }) as unknown as Limit
      return async (request, reply) => {
        await handler(request, reply)
      }
    }

    function getCallerKey({ principal, ip }: FastifyRequest): string {
      return deriveRateLimitKey(principal, ip)
    }

    /** Adapts the shared counter to the store interface of @fastify/rate-limit. */
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
