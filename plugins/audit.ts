import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { actorFromPrincipal } from '../src/access/principal-actor.ts'
import { runAsActor, type Actor } from '../src/lib/actor.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The number of the last audit entry that this request caused; 0: none. */
    auditedCount: number
  }
}

/** Attributes changes to the caller and the request id. */
export default fp(
  async (app) => {
    app.decorateRequest('auditedCount', 0)
    // In preHandler, because the caller is known by now, and reading the body loses an
    // AsyncLocalStorage context set earlier.
    app.addHook('preHandler', (request, _reply, done) => {
      // Now: Node knows the address of a closed connection only if it was asked for before.
      const { ip } = request
      runAsActor(() => createActor(request, ip), done)
    })
  },
  { name: 'audit', dependencies: ['access'] }
)

function createActor(request: FastifyRequest, ip: string): Actor {
  const { principal, id } = request
  return {
    ...actorFromPrincipal(principal, { ip, requestId: id }),
    onAudited: (count) => {
      request.auditedCount = Math.max(request.auditedCount, count)
    }
  }
}
