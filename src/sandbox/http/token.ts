import type { FastifyInstance, FastifyRequest } from 'fastify'
import { oauthError } from '../gateway/answer.ts'
import { handleTokenRequest } from '../oauth/token-endpoint.ts'
import type { TokenRequestFields } from '../oauth/token-endpoint.ts'
import { readContentType, readFormBody, readJsonBody, sendResponse } from './reply.ts'
import type { SandboxPluginOptions } from './options.ts'

/** POST /oauth/token, with a JSON or a form body (docs/reference/atlassian.md#2-token-endpoint). */
export default async function tokenRoutes(app: FastifyInstance, { state }: SandboxPluginOptions) {
  app.post('/oauth/token', { schema: { hide: true } }, async (request, reply) => {
    const fields = parseTokenFields(request)
    const response =
      fields === undefined
        ? oauthError(400, 'invalid_request', 'The body is neither JSON nor a form')
        : handleTokenRequest(state, fields)
    return sendResponse(request, reply, state, 'POST /oauth/token', response)
  })
}

function parseTokenFields(request: FastifyRequest): TokenRequestFields | undefined {
  if (readContentType(request) === 'application/x-www-form-urlencoded') {
    return Object.fromEntries(readFormBody(request))
  }
  const body = readContentType(request) === 'application/json' ? readJsonBody(request) : undefined
  return typeof body === 'object' && body !== null && !Array.isArray(body)
    ? (body as TokenRequestFields)
    : undefined
}
