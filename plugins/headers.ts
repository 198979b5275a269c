import fp from 'fastify-plugin'
import { AppError } from '../src/errors.ts'

/** What every answer says: it is personal, it is what it says it is, and it tells the next site nothing. */
export const ON_EVERY_ANSWER = { 'cache-control': 'no-store', 'referrer-policy': 'no-referrer', 'x-content-type-options': 'nosniff' }

export default fp(async (app) => {
  app.addHook('onRequest', ({ headers, raw }, reply, done) => {
    reply.headers(ON_EVERY_ANSWER)
    // RFC 9112 section 3.2. Node would refuse it too, but without a word.
    if (headers.host === undefined && raw.httpVersion === '1.1') return done(new AppError('bad_request', 'The Host header is missing.'))
    done()
  })
}, { name: 'headers', dependencies: ['logging'] })
