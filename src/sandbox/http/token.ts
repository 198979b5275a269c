import type { FastifyInstance, FastifyRequest } from 'fastify'
import { oauthError } from '../gateway/answer.ts'
import { exchange } from '../oauth/token-endpoint.ts'
import type { Fields } from '../oauth/token-endpoint.ts'
import { contentType, formOf, jsonOf, respond } from './reply.ts'
import type { SandboxPluginOptions } from './plugin.ts'

/** POST /oauth/token, with a JSON or a form body (atlassian.md section 2). */
export default async function token(app: FastifyInstance, { world }: SandboxPluginOptions) {
  app.post('/oauth/token', { schema: { hide: true } }, async (request, reply) => {
    const fields = fieldsOf(request)
    const answer =
      fields === undefined
        ? oauthError(400, 'invalid_request', 'The body is neither JSON nor a form')
        : exchange(world, fields)
    return respond(request, reply, world, 'POST /oauth/token', answer)
  })
}

function fieldsOf(request: FastifyRequest): Fields | undefined {
  if (contentType(request) === 'application/x-www-form-urlencoded') {
    return Object.fromEntries(formOf(request))
  }
  const body = contentType(request) === 'application/json' ? jsonOf(request) : undefined
  return typeof body === 'object' && body !== null && !Array.isArray(body)
    ? (body as Fields)
    : undefined
}
