import type { Static } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { problemResponses } from '../../src/http/schemas.ts'
import type { AppLimits } from '../../src/rate-budget/limits-report.ts'
import { toQuotaResponse } from '../../src/http/quota-schema.ts'
import { LimitsResponse } from './schema.ts'

type AppResponse = Static<typeof LimitsResponse>['apps'][number]

/** Atlassian's limits, as far as they are known. */
const routes: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '',
    {
      config: { access: { scope: 'admin' } },
      schema: {
        tags: ['Health'],
        operationId: 'getLimits',
        summary: "Show Atlassian's limits: points left, blocks, and deprecated endpoints",
        response: { 200: LimitsResponse, ...problemResponses() }
      }
    },
    async () => ({
      apps: await Promise.all(
        [...new Set(app.oauthClients.listIds())].map(async (id) =>
          toAppResponse(id, await app.siteContext.budget.getLimits(id))
        )
      ),
      deprecations: app.deprecations.list().map(({ firstSeenAt, lastSeenAt, ...rest }) => ({
        ...rest,
        first_seen_at: firstSeenAt.toISOString(),
        last_seen_at: lastSeenAt.toISOString()
      }))
    })
  )
}

export default routes

function toAppResponse(
  clientId: string,
  { points, products, sites, blocks }: AppLimits
): AppResponse {
  return {
    client_id: clientId,
    products,
    points: toQuotaResponse(points),
    sites: sites.map(({ site, used, points }) => ({
      cloud_id: site,
      used,
      points: points === null ? null : toQuotaResponse(points)
    })),
    blocks: blocks.map(({ until, ...rest }) => ({ ...rest, until: until.toISOString() }))
  }
}
