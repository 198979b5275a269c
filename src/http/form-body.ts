import type { FastifyInstance } from 'fastify'

/** Lets the routes of a plugin receive HTML forms: their body is a `URLSearchParams`. */
export function acceptForms(app: FastifyInstance): void {
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    (_request, body, done) => {
      done(null, new URLSearchParams(String(body)))
    }
  )
}
