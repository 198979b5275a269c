import cors from '@fastify/cors'
import fp from 'fastify-plugin'
import { isLoopbackOrigin } from '../src/config/formats.ts'

/**
 * Lets the configured origins' scripts call this service; never with credentials
 * (docs/reference/contract.md#2-settings).
 */
export default fp(
  async (app) => {
    const { corsOrigins } = app.config
    if (corsOrigins.length === 0) return
    await app.register(cors, {
      origin:
        corsOrigins === 'any'
          ? '*'
          : corsOrigins === 'loopback'
            ? (origin, answer) => {
                answer(null, isLoopbackOrigin(origin ?? ''))
              }
            : [...corsOrigins],
      methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
      exposedHeaders: [
        'X-Request-ID',
        'Link',
        'X-Sync-State',
        'X-As-Of',
        'X-Total-Count',
        'Retry-After',
        'RateLimit-Limit',
        'RateLimit-Remaining',
        'RateLimit-Reset'
      ],
      credentials: false,
      maxAge: 600,
      // An OPTIONS request that is no preflight gets the same response, not an error text of the package.
      strictPreflight: false
    })
  },
  { name: 'cors', dependencies: ['config', 'logging', 'security-headers', 'request-source'] }
)
