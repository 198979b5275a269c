import fp from 'fastify-plugin'
import { HSTS_HEADER, SECURITY_HEADERS } from '../src/http/security-headers.ts'
import { AppError } from '../src/lib/errors.ts'

/** Sets the security headers of every response. */
export default fp(
  async (app) => {
    const isHttpsConfigured = app.config.publicUrl?.startsWith('https:') === true
    app.addHook('onRequest', ({ headers, raw, protocol }, reply, done) => {
      reply.headers(SECURITY_HEADERS)
      if (isHttpsConfigured || protocol === 'https') reply.headers(HSTS_HEADER)
      // RFC 9112 section 3.2. Node rejects it too, but without a problem document.
      if (headers.host === undefined && raw.httpVersion === '1.1') {
        return done(new AppError('bad_request', 'The Host header is missing.'))
      }
      done()
    })
  },
  { name: 'security-headers', dependencies: ['config', 'logging'] }
)
