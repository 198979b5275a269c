import type { FastifyInstance } from 'fastify'
import { handleGatewayRequest } from '../gateway/gateway.ts'
import {
  readBearerToken,
  readContentType,
  readJsonBody,
  readQueryParams,
  sendResponse,
  readBaseUrl
} from './reply.ts'
import type { FaultInjector } from './faults.ts'
import type { SandboxPluginOptions } from './options.ts'

/**
 * `/ex/{product}/{cloudId}/…` is one route, because the gateway checks tokens and scopes before
 * paths.
 */
export default async function gatewayRoutes(
  app: FastifyInstance,
  { state, hangUntilClosed }: SandboxPluginOptions & Pick<FaultInjector, 'hangUntilClosed'>
) {
  for (const product of state.products) {
    app.all(`${product.gatewayPath}/*`, { schema: { hide: true } }, async (request, reply) => {
      const [, cloudId = '', path = ''] =
        new RegExp(`^${product.gatewayPath}/([^/]*)(.*)$`).exec(request.pathBelowPrefix) ?? []
      const { response, label } = handleGatewayRequest(state, {
        method: request.method === 'HEAD' ? 'GET' : request.method,
        product,
        cloudId,
        path,
        fullPath: request.pathBelowPrefix,
        query: readQueryParams(request),
        contentType: readContentType(request),
        body: readJsonBody(request),
        token: readBearerToken(request),
        base: `${readBaseUrl(request)}${product.gatewayPath}/${cloudId}`
      })
      if (response.isHanging === true) return hangUntilClosed(request, reply)
      return sendResponse(request, reply, state, label, response)
    })
  }
}
