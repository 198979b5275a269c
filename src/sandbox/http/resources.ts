import type { FastifyInstance } from 'fastify'
import { listAccessibleResources, getProfile } from '../oauth/identity.ts'
import { answerAccountReport } from '../oauth/report-accounts.ts'
import { readBearerToken, readJsonBody, sendResponse } from './reply.ts'
import type { SandboxPluginOptions } from './options.ts'

/**
 * Identity and sites of a token (docs/reference/atlassian.md#5-identity-and-sites), and account
 * reports.
 */
export default async function resourceRoutes(
  app: FastifyInstance,
  { state }: SandboxPluginOptions
) {
  app.get('/oauth/token/accessible-resources', { schema: { hide: true } }, async (request, reply) =>
    sendResponse(
      request,
      reply,
      state,
      'GET /oauth/token/accessible-resources',
      listAccessibleResources(state, readBearerToken(request))
    )
  )

  app.get('/me', { schema: { hide: true } }, async (request, reply) =>
    sendResponse(request, reply, state, 'GET /me', getProfile(state, readBearerToken(request)))
  )

  app.post('/app/report-accounts/', { schema: { hide: true } }, async (request, reply) =>
    sendResponse(
      request,
      reply,
      state,
      'POST /app/report-accounts/',
      answerAccountReport(state, readBearerToken(request), readJsonBody(request))
    )
  )
}
