import fp from 'fastify-plugin'
import { actorFromPrincipal } from '../src/access/principal-actor.ts'
import { runAsActor } from '../src/lib/actor.ts'

/** Attributes changes to the caller and the request id. */
export default fp(
  async (app) => {
    // In preHandler, because the caller is known by now, and reading the body loses an
    // AsyncLocalStorage context set earlier.
    app.addHook('preHandler', ({ principal, ip, id }, _reply, done) => {
      runAsActor(actorFromPrincipal(principal, { ip, requestId: id }), done)
    })
  },
  { name: 'audit', dependencies: ['access'] }
)
