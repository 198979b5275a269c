import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'

/** Swagger UI, with its scripts and styles served from here. */
export default async function (app: FastifyInstance) {
  await app.register(swaggerUi, { routePrefix: '/', staticCSP: true, theme: { title: 'Jira and Confluence connector' } })
}
