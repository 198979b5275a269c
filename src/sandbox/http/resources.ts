import type { FastifyInstance } from 'fastify'
import { accessibleResources, me } from '../oauth/identity.ts'
import { reportAccounts } from '../oauth/report-accounts.ts'
import { bearer, jsonOf, respond } from './reply.ts'
import type { SandboxPluginOptions } from './plugin.ts'

/** Who the token belongs to and which sites it reaches (atlassian.md section 5), and whose accounts an app keeps. */
export default async function resources(app: FastifyInstance, { world }: SandboxPluginOptions) {
  app.get('/oauth/token/accessible-resources', { schema: { hide: true } }, async (request, reply) =>
    respond(
      request,
      reply,
      world,
      'GET /oauth/token/accessible-resources',
      accessibleResources(world, bearer(request))
    )
  )

  app.get('/me', { schema: { hide: true } }, async (request, reply) =>
    respond(request, reply, world, 'GET /me', me(world, bearer(request)))
  )

  app.post('/app/report-accounts/', { schema: { hide: true } }, async (request, reply) =>
    respond(
      request,
      reply,
      world,
      'POST /app/report-accounts/',
      reportAccounts(world, bearer(request), jsonOf(request))
    )
  )
}
