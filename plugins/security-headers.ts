import fp from 'fastify-plugin'
import { HSTS_HEADER, SECURITY_HEADERS } from '../src/http/security-headers.ts'

/** Sets the security headers of every response. */
export default fp(
  async (app) => {
    const isHttpsConfigured = app.config.publicUrl?.startsWith('https:') === true
    app.addHook('onRequest', ({ protocol }, reply, done) => {
      reply.headers(SECURITY_HEADERS)
      if (isHttpsConfigured || protocol === 'https') reply.headers(HSTS_HEADER)
      done()
    })
  },
  { name: 'security-headers', dependencies: ['config', 'logging'] }
)
