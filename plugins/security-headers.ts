import fp from 'fastify-plugin'
import { BY_HTTPS, ON_EVERY_ANSWER } from '../src/http/security-headers.ts'
import { AppError } from '../src/lib/errors.ts'

/** The headers that keep browsers safe, on every answer. */
export default fp(
  async (app) => {
    const byHttps = app.config.publicUrl?.startsWith('https:') === true
    app.addHook('onRequest', ({ headers, raw, protocol }, reply, done) => {
      reply.headers(ON_EVERY_ANSWER)
      if (byHttps || protocol === 'https') reply.headers(BY_HTTPS)
      // RFC 9112 section 3.2. Node would refuse it too, but without a word.
      if (headers.host === undefined && raw.httpVersion === '1.1') {
        return done(new AppError('bad_request', 'The Host header is missing.'))
      }
      done()
    })
  },
  { name: 'security-headers', dependencies: ['config', 'logging'] }
)
