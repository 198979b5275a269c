import type { FastifyInstance } from 'fastify'
import { gateway } from '../gateway/gateway.ts'
import { PRODUCTS } from '../data/sites.ts'
import { bearer, jsonOf, queryOf, respond, root } from './reply.ts'
import type { SandboxPluginOptions } from './plugin.ts'

/** `/ex/{product}/{cloudId}/…`: one route, since the gateway looks at tokens and scopes before it looks at paths. */
export default async function gatewayRoutes(app: FastifyInstance, { world }: SandboxPluginOptions) {
  for (const product of PRODUCTS) {
    app.all(`/ex/${product}/*`, { schema: { hide: true } }, async (request, reply) => {
      const [, cloudId, path] = new RegExp(`^/ex/${product}/([^/]*)(.*)$`).exec(request.below) ?? []
      const { answer, label } = gateway(world, {
        method: request.method === 'HEAD' ? 'GET' : request.method,
        product,
        cloudId,
        path,
        fullPath: request.below,
        query: queryOf(request),
        body: jsonOf(request),
        token: bearer(request),
        base: `${root(request)}/ex/${product}/${cloudId}`
      })
      return respond(request, reply, world, label, answer)
    })
  }
}
