import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { problemResponses } from '../src/http/schemas.ts'

const ServiceStatus = Type.Object(
  {
    status: Type.Literal('success'),
    message: Type.Literal('service healthy'),
    data: Type.Object(
      {
        service: Type.Literal('integration_backend'),
        health: Type.Literal('healthy')
      },
      { title: 'ServiceStatusData' }
    )
  },
  { title: 'ServiceStatus' }
)

const routes: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/',
    {
      config: { access: 'open', limit: 'none', unknownQuery: 'ignored', anyHost: true },
      schema: {
        tags: ['Health'],
        operationId: 'getServiceStatus',
        summary: 'Check that the service runs',
        response: { 200: ServiceStatus, ...problemResponses(400) }
      }
    },
    async () => ({
      status: 'success' as const,
      message: 'service healthy' as const,
      data: { service: 'integration_backend' as const, health: 'healthy' as const }
    })
  )

  app.get(
    '/openapi.json',
    { config: { access: 'docs' }, schema: { hide: true } },
    async ({ url }) => app.getOpenApiDocument(url)
  )
}

export default routes
