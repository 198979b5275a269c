import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { unrouted } from '../gateway/answer.ts'
import type { World } from '../state.ts'
import { respond } from './reply.ts'

/** What the gateway says to paths it does not know. */
export function notFound(world: World) {
  return function (request: FastifyRequest, reply: FastifyReply) {
    return respond(
      request,
      reply,
      world,
      `${request.method} …`,
      unrouted(request.below, world.now())
    )
  }
}

/** A body that is too large or a bug here; neither is Atlassian's doing, so the body is plain. */
export function failed(error: FastifyError, request: FastifyRequest, reply: FastifyReply) {
  const status = error.statusCode ?? 500
  if (status >= 500) request.log.error(error)
  return reply
    .code(status)
    .header('content-type', 'application/json;charset=UTF-8')
    .send(
      JSON.stringify({
        code: status,
        message: status >= 500 ? 'Internal server error' : error.message
      })
    )
}
