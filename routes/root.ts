import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'

const ServiceStatus = Type.Object({
  status: Type.Literal('success'),
  message: Type.Literal('service healthy'),
  data: Type.Object({
    service: Type.Literal('integration_backend'),
    health: Type.Literal('healthy')
  })
})

const routes: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/',
    {
      config: { access: 'open', limit: 'none' },
      schema: {
        tags: ['Health'],
        summary: 'The service is there',
        response: { 200: ServiceStatus }
      }
    },
    async () => ({
      status: 'success' as const,
      message: 'service healthy' as const,
      data: { service: 'integration_backend' as const, health: 'healthy' as const }
    })
  )

  app.get('/openapi.json', { config: { access: 'docs' }, schema: { hide: true } }, async () =>
    app.swagger()
  )
}

export default routes
