import type { FastifyInstance } from 'fastify'
import { evaluateFeatures } from '../../src/connections/features.ts'
import { computeConsentExpiry } from '../../src/grants/maintenance-job.ts'
import { toPlannedRow } from '../../src/sync/connection-plans.ts'
import type { HeldDeletions } from '../../src/store/repositories/checkpoints.ts'
import type { ConnectionWithGrant } from '../../src/store/repositories/connections.ts'
import type { Site } from '../../src/model/site.ts'
import type { ConnectionResponse } from './schema.ts'

/**
 * The connection as the API shows it, without tokens.
 *
 * @param prefix alias prefix of the request, for links
 */
export async function toConnectionResponse(
  app: FastifyInstance,
  current: ConnectionWithGrant,
  prefix: string
): Promise<ConnectionResponse> {
  const heldDeletions = await app.store.checkpoints.listHeldDeletions(current.connection.userId)
  return await buildConnectionResponse(app, current, prefix, heldDeletions)
}

/** All connections of a user as the API shows them. */
export async function listConnectionResponses(
  app: FastifyInstance,
  userId: number,
  prefix: string
): Promise<ConnectionResponse[]> {
  const heldDeletions = await app.store.checkpoints.listHeldDeletions(userId)
  const connections = await app.store.connections.list(userId)
  return await Promise.all(
    connections.map(
      async (current) => await buildConnectionResponse(app, current, prefix, heldDeletions)
    )
  )
}

async function buildConnectionResponse(
  app: FastifyInstance,
  current: ConnectionWithGrant,
  prefix: string,
  heldDeletions: HeldDeletions[]
): Promise<ConnectionResponse> {
  const { connection, grant } = current
  const { selectedSites, sites } = connection
  const scopes = grant.scopes.split(' ').filter(Boolean)
  const [only, another] = selectedSites
  return {
    product: connection.provider,
    state: current.state,
    account_id: grant.accountId,
    site: only === undefined || another !== undefined ? null : toSiteResponse(only),
    sites: [...sites, ...selectedSites.filter(({ cloudId }) => !hasSite(sites, cloudId))].map(
      (site) => ({
        ...toSiteResponse(site),
        selected: hasSite(selectedSites, site.cloudId),
        reachable: hasSite(sites, site.cloudId)
      })
    ),
    features: toFeatureResponses(app, current, scopes, prefix),
    scopes,
    connected_at: connection.connectedAt.toISOString(),
    last_refresh_at: grant.rotatedAt?.toISOString() ?? null,
    reconsent_by: computeConsentExpiry(grant.consentedAt).toISOString(),
    next_try_at: grant.nextTryAt?.toISOString() ?? null,
    next_sync_at: connection.syncDueAt?.toISOString() ?? null,
    fresh_within: await getFreshWithinS(app, current),
    ...Object.fromEntries(
      app.providers
        .get(connection.provider)
        .options.map(({ name }) => [name, connection.options[name] === true])
    ),
    held_deletions: heldDeletions
      .filter(({ provider }) => provider === connection.provider)
      .map(({ collection, site, count, since }) => ({
        collection,
        site,
        count,
        since: since.toISOString()
      })),
    last_error: getLastError(current)
  }
}

/** Whether the connection works without action by its user. */
export function isConnected({ state }: ConnectionWithGrant): boolean {
  return state !== 'needs_reconnect' && state !== 'needs_site'
}

/**
 * How old a change at Atlassian can be before it is copied, in seconds; null where no schedule
 * copies it.
 */
async function getFreshWithinS(
  { connectionPlans, siteContext: { budget } }: FastifyInstance,
  current: ConnectionWithGrant
): Promise<number | null> {
  const {
    state,
    grant: { clientId: app },
    connection: { selectedSites }
  } = current
  const { freshWithinMs } = await connectionPlans.get(toPlannedRow(current))
  if (freshWithinMs === null || (state !== 'active' && state !== 'degraded')) return null
  const blockedMs = selectedSites.map(({ cloudId: site }) =>
    budget.getWaitMs({ app, site, endpoint: '' }, false)
  )
  return Math.ceil((freshWithinMs + Math.max(0, ...blockedMs)) / 1000)
}

/** The message that explains the state, from the grant or the connection, whichever causes it. */
function getLastError({ state, grant, connection }: ConnectionWithGrant): string | null {
  if (state === 'active') return null
  return state === grant.state
    ? (grant.errorDetail ?? 'Atlassian no longer accepts this connection. Connect again.')
    : connection.errorDetail
}

/**
 * Offers a login only for scopes that the client is configured to request; Atlassian shows an
 * error page for others.
 */
function toFeatureResponses(
  { oauthClients, providers }: FastifyInstance,
  { connection }: ConnectionWithGrant,
  existingScopes: string[],
  prefix: string
): ConnectionResponse['features'] {
  const provider = providers.get(connection.provider)
  const configuredScopes = oauthClients.scopesForLogin(provider.id)
  return evaluateFeatures(provider, existingScopes, connection, configuredScopes).map(
    ({ feature, isEnabled: on, missingScopes: missing }) => {
      const requestedScopes = [
        ...new Set([
          ...existingScopes.filter((scope) => configuredScopes.includes(scope)),
          ...missing
        ])
      ]
      const state = encodeURIComponent(`user_id=${connection.userId}`)
      const query = `state=${state}&scope=${encodeURIComponent(requestedScopes.join(' '))}`
      const isLoginOffered = !on && missing.every((scope) => configuredScopes.includes(scope))
      return {
        name: feature.name,
        on,
        missing,
        login_url: isLoginOffered ? `${prefix}/auth/${provider.id}/login?${query}` : null
      }
    }
  )
}

function toSiteResponse({ cloudId, name, url }: Site) {
  return { cloud_id: cloudId, name, url }
}

function hasSite(sites: readonly Site[], cloudId: string): boolean {
  return sites.some((site) => site.cloudId === cloudId)
}
