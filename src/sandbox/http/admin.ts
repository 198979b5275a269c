import type { FastifyInstance } from 'fastify'
import { handleAdminCall } from '../admin/admin.ts'
import { readContentType, readJsonBody } from './reply.ts'
import type { SandboxPluginOptions } from './options.ts'

const MAX_BODY_BYTES = 16 * 1024 * 1024

/**
 * The admin API (src/sandbox/admin/admin.ts). A body must have the content type JSON: browsers
 * do not send that to another origin without a preflight request.
 */
export default async function adminRoutes(app: FastifyInstance, { state }: SandboxPluginOptions) {
  app.route({
    method: ['GET', 'POST', 'PUT', 'DELETE'],
    url: '/admin/*',
    schema: { hide: true },
    bodyLimit: MAX_BODY_BYTES,
    handler: async (request, reply) => {
      const body = readJsonBody(request)
      const isReadable =
        body === undefined || (body !== null && readContentType(request) === 'application/json')
      const response = isReadable
        ? handleAdminCall(
            state,
            request.method,
            request.pathBelowPrefix.slice('/admin/'.length),
            body
          )
        : {
            status: 400,
            body: { error: 'the body must be JSON, with a JSON media type in Content-Type' }
          }
      return reply
        .code(response.status)
        .header('content-type', 'application/json;charset=UTF-8')
        .send(JSON.stringify(response.body))
    }
  })
}
