import type { FastifyInstance } from 'fastify'
import { featuresOf } from '../../src/connections/features.ts'
import { reconsentBy } from '../../src/grants/maintenance-job.ts'
import { providerOf } from '../../src/providers/index.ts'
import type { Held } from '../../src/store/repositories/checkpoints.ts'
import type { Standing } from '../../src/store/repositories/connections.ts'
import type { Site } from '../../src/model/site.ts'
import type { ConnectionView } from './schema.ts'

/**
 * The truth about one connection, without its tokens.
 *
 * @param prefix the alias prefix of the request: links keep it
 */
export async function view(
  app: FastifyInstance,
  standing: Standing,
  prefix: string
): Promise<ConnectionView> {
  return viewWith(
    app,
    standing,
    prefix,
    await app.store.checkpoints.held(standing.connection.userId)
  )
}

/** The same for all connections of a user. */
export async function viewAll(
  app: FastifyInstance,
  userId: number,
  prefix: string
): Promise<ConnectionView[]> {
  const held = await app.store.checkpoints.held(userId)
  return (await app.store.connections.list(userId)).map((standing) =>
    viewWith(app, standing, prefix, held)
  )
}

function viewWith(
  app: FastifyInstance,
  standing: Standing,
  prefix: string,
  held: Held[]
): ConnectionView {
  const { connection, grant } = standing
  const { bound, sites } = connection
  const scopes = grant.scopes.split(' ').filter(Boolean)
  const [only, another] = bound
  return {
    product: connection.provider,
    state: standing.state,
    account_id: grant.accountId,
    site: only === undefined || another !== undefined ? null : wire(only),
    sites: [...sites, ...bound.filter(({ cloudId }) => !has(sites, cloudId))].map((site) => ({
      ...wire(site),
      selected: has(bound, site.cloudId),
      reachable: has(sites, site.cloudId)
    })),
    features: features(app, standing, scopes, prefix),
    scopes,
    connected_at: connection.connectedAt.toISOString(),
    last_refresh_at: grant.rotatedAt?.toISOString() ?? null,
    reconsent_by: reconsentBy(grant.consentedAt).toISOString(),
    next_try_at: grant.nextTryAt?.toISOString() ?? null,
    next_sync_at: connection.syncDueAt?.toISOString() ?? null,
    page_bodies: connection.options.pageBodies === true,
    held_deletions: held
      .filter(({ provider }) => provider === connection.provider)
      .map(({ collection, site, count, since }) => ({
        collection,
        site,
        count,
        since: since.toISOString()
      })),
    last_error: lastError(standing)
  }
}

/** Whether a person has to do anything before the connection is one. */
export function isConnected({ state }: Standing): boolean {
  return state !== 'needs_reconnect' && state !== 'needs_site'
}

/** The sentence of whatever the state says. */
function lastError({ state, grant, connection }: Standing): string | null {
  if (state === 'active') return null
  return state === grant.state
    ? (grant.errorDetail ?? 'Atlassian no longer accepts this connection. Connect again.')
    : connection.errorDetail
}

/** Logins are offered only for scopes that this service is set up to ask for: others would end on an error page of Atlassian's. */
function features(
  { clients }: FastifyInstance,
  { connection }: Standing,
  held: string[],
  prefix: string
): ConnectionView['features'] {
  const provider = providerOf(connection.provider)
  const askable = clients.scopes(provider.id)
  return featuresOf(provider, held, connection).map(({ feature, on, missing }) => {
    const wanted = [...new Set([...held.filter((scope) => askable.includes(scope)), ...missing])]
    const query = `state=${encodeURIComponent(`user_id=${connection.userId}`)}&scope=${encodeURIComponent(wanted.join(' '))}`
    const offered = !on && missing.every((scope) => askable.includes(scope))
    return {
      name: feature.name,
      on,
      missing,
      login_url: offered ? `${prefix}/auth/${provider.id}/login?${query}` : null
    }
  })
}

function wire({ cloudId, name, url }: Site) {
  return { cloud_id: cloudId, name, url }
}

function has(sites: readonly Site[], cloudId: string): boolean {
  return sites.some((site) => site.cloudId === cloudId)
}
