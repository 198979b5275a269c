import type { Static } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { problemResponses } from '../../src/http/schemas.ts'
import type { AppLimits } from '../../src/rate-budget/limits-report.ts'
import type { QuotaState } from '../../src/rate-budget/ledger.ts'
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

function toAppResponse(clientId: string, limits: AppLimits): AppResponse {
  const { products, sites, blocks } = limits
  return {
    client_id: clientId,
    products,
    ...toQuotaResponse(limits),
    sites: sites.map(({ site, used, quota }) => ({
      cloud_id: site,
      used,
      quota: quota === null ? null : toQuotaResponse(quota)
    })),
    blocks: blocks.map(({ until, ...rest }) => ({ ...rest, until: until.toISOString() }))
  }
}

function toQuotaResponse({ limit, isReported, used, remaining, resetAt }: QuotaState) {
  return {
    quota: limit,
    quota_source: isReported ? ('header' as const) : ('setting' as const),
    used,
    remaining,
    next_reset: new Date(resetAt).toISOString()
  }
}
