import type { Static } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { problemResponses } from '../../src/http/schemas.ts'
import type { AppLimits } from '../../src/rate-budget/limits-report.ts'
import { toQuotaResponse } from '../../src/http/quota-schema.ts'
import { MAX_KEY_USES } from '../../src/vault/vault.ts'
import { LimitsResponse } from './schema.ts'

type AppResponse = Static<typeof LimitsResponse>['apps'][number]

/** Atlassian's limits, as far as they are known, and the limit of each vault key. */
const routes: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '',
    {
      config: { access: { scope: 'admin' } },
      schema: {
        tags: ['Health'],
        operationId: 'getLimits',
        summary:
          "Show Atlassian's limits (points left, blocks, deprecated endpoints) and the vault keys' uses",
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
      })),
      vault_keys: (await app.store.vaultKeys.list()).map(({ id, uses }) => ({
        id,
        current: id === app.vault.keyId,
        uses,
        max_uses: MAX_KEY_USES
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
