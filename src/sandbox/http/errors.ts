import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { routeNotFound } from '../gateway/answer.ts'
import type { SandboxState } from '../state.ts'
import { sendResponse } from './reply.ts'

/** Responds to paths that the gateway does not know. */
export function createNotFoundHandler(state: SandboxState) {
  return function (request: FastifyRequest, reply: FastifyReply) {
    return sendResponse(
      request,
      reply,
      state,
      `${request.method} …`,
      routeNotFound(request.pathBelowPrefix, state.now())
    )
  }
}

/**
 * Responds to a body that is too large, or to a bug of the sandbox. Atlassian has no such
 * response, so the body is plain.
 */
export function sendError(error: FastifyError, request: FastifyRequest, reply: FastifyReply) {
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
