import type { FastifyInstance } from 'fastify'
import { admin } from '../admin/admin.ts'
import { contentType, jsonOf } from './reply.ts'
import type { SandboxPluginOptions } from './plugin.ts'

const MOST_BYTES = 16 * 1024 * 1024

/**
 * The admin API (src/sandbox/admin/admin.ts). A body has to say that it is JSON: a page of another origin cannot make a browser send
 * that without being asked first.
 */
export default async function adminRoutes(app: FastifyInstance, { world }: SandboxPluginOptions) {
  app.route({
    method: ['GET', 'POST', 'DELETE'],
    url: '/admin/*',
    schema: { hide: true },
    bodyLimit: MOST_BYTES,
    handler: async (request, reply) => {
      const body = jsonOf(request)
      const readable =
        body === undefined || (body !== null && contentType(request) === 'application/json')
      const answer = readable
        ? admin(world, request.method, request.below.slice('/admin/'.length), body)
        : { status: 400, body: { error: 'the body must be JSON, and say so in Content-Type' } }
      return reply
        .code(answer.status)
        .header('content-type', 'application/json;charset=UTF-8')
        .send(JSON.stringify(answer.body))
    }
  })
}
