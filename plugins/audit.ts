import fp from 'fastify-plugin'
import { actorFromPrincipal } from '../src/access/principal-actor.ts'
import { runAsActor } from '../src/lib/actor.ts'

/** Puts what a request changes down to whoever asks, under its request id. */
export default fp(
  async (app) => {
    // Here and not before: now it is known who asks, and reading a body loses what was set before it.
    app.addHook('preHandler', ({ principal, ip, id }, _reply, done) => {
      runAsActor(actorFromPrincipal(principal, { ip, requestId: id }), done)
    })
  },
  { name: 'audit', dependencies: ['access'] }
)
