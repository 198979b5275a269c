import { AppError } from '../errors.ts'
import type { Http, Log } from '../http.ts'
import type { Access } from '../grants/access.ts'
import { announce } from '../grants/announce.ts'
import { createAsk, sitesOf, type Ask } from '../providers/atlassian.ts'
import { providerOf, type Provider, type ProviderId } from '../providers/index.ts'
import type { Connection, Standing } from '../store/connections.ts'
import type { WithStatement } from '../store/engine.ts'
import type { Grant } from '../store/grants.ts'
import type { Store } from '../store/index.ts'
import type { Site } from '../store/site.ts'
import { standing } from './standing.ts'

export interface SiteSettings {
  store: Store
  http: Http
  now: () => number
  access: Access
  /** The gateway that serves a grant. @throws AppError `needs_reconnect` where its client is gone */
  apiUrlOf: (grant: Grant) => string
  /** Erases what was copied for an owner from these sites, or from all. */
  erasing: (userId: number, provider: ProviderId, cloudIds?: string[]) => WithStatement[]
}

/** The token of a grant for whoever asks Atlassian in its name. */
export function askFor ({ store, http, now, access }: SiteSettings, grantId: string, log: Log, { signal, onCall }: { signal?: AbortSignal, onCall?: () => void } = {}): Ask {
  return createAsk({
    http,
    log,
    tokens: {
      get: async (refused) => await access.accessToken(grantId, { log, refused }),
      latest: async () => {
        access.forget(grantId)
        return await access.accessToken(grantId, { log })
      },
      expired: async () => ((await store.grants.get(grantId))?.accessExpiresAt.getTime() ?? Infinity) <= now()
    },
    ...(signal === undefined ? {} : { signal }),
    ...(onCall === undefined ? {} : { onCall })
  })
}

/**
 * Asks Atlassian which sites the connection reaches now, which also proves that its tokens work, and writes down what that
 * changes.
 *
 * @throws AppError `connection_not_found`, or whatever keeps the tokens from working
 */
export async function checkConnection (settings: SiteSettings, userId: number, provider: Provider, log: Log): Promise<Standing> {
  const before = await connectionOf(settings.store, userId, provider)
  return await settle(settings, provider, before, await freshSites(settings, provider, before, log), before.connection.bound, log)
}

/**
 * Binds a connection to the sites named, out of a fresh list. What was copied from sites that it is no longer bound to is
 * erased.
 *
 * @throws AppError `validation_failed` for a site that is not in the list; else as `checkConnection`
 */
export async function chooseSites (settings: SiteSettings, userId: number, provider: Provider, cloudIds: readonly string[], pointer: string, log: Log): Promise<Standing> {
  const before = await connectionOf(settings.store, userId, provider)
  const sites = await freshSites(settings, provider, before, log)
  const chosen = sites.filter(({ cloudId }) => cloudIds.includes(cloudId))
  if (chosen.length < new Set(cloudIds).size) {
    const detail = `The consent reaches no such site with ${provider.title}. GET /users/{user_id}/connections lists those it reaches.`
    throw new AppError('validation_failed', detail, { errors: [{ pointer, detail }] })
  }
  const dropped = before.connection.bound.filter(({ cloudId }) => !cloudIds.includes(cloudId)).map(({ cloudId }) => cloudId)
  return await settle(settings, provider, before, sites, chosen, log, dropped.length === 0 ? [] : settings.erasing(userId, provider.id, dropped))
}

/** Looks again at what a grant's connections can do, after its scopes have changed. */
export async function reviewGrant ({ store }: Pick<SiteSettings, 'store'>, grantId: string, log: Log): Promise<void> {
  for (const { connection, grant } of await store.connections.ofGrant(grantId)) {
    const own = standing(providerOf(connection.provider), grant.scopes.split(' '), connection, connection.bound)
    if (own.state !== connection.state || own.reason?.detail !== (connection.errorDetail ?? undefined)) announce(await store.connections.update(connection, { ...connection, ...own }), log)
  }
}

/** Remembers that the gateway refused a feature for its scope, whatever the token said, or that it no longer does. */
export async function noteRefusal ({ store }: Pick<SiteSettings, 'store'>, { userId, provider: id }: Connection, feature: string, isRefused: boolean, log: Log): Promise<void> {
  const current = await store.connections.get(userId, id)
  if (current === undefined || current.connection.refused.includes(feature) === isRefused) return
  const { connection, grant } = current
  const refused = isRefused ? [...connection.refused, feature] : connection.refused.filter((name) => name !== feature)
  const own = standing(providerOf(id), grant.scopes.split(' '), { ...connection, refused }, connection.bound)
  announce(await store.connections.update(connection, { ...connection, refused, ...own }), log)
}

/** @throws AppError `connection_not_found` */
export async function connectionOf (store: Store, userId: number, { id, title }: Provider): Promise<Standing> {
  const found = await store.connections.get(userId, id)
  if (found === undefined) throw new AppError('connection_not_found', `This user has not connected ${title}.`)
  return found
}

async function freshSites (settings: SiteSettings, provider: Provider, { grant }: Standing, log: Log): Promise<Site[]> {
  return await sitesOf(provider, { ask: askFor(settings, grant.id, log), apiUrl: settings.apiUrlOf(grant), log })
}

async function settle ({ store }: SiteSettings, provider: Provider, { connection, grant: { scopes } }: Standing, sites: Site[], chosen: readonly Site[], log: Log, also: WithStatement[] = []): Promise<Standing> {
  const own = standing(provider, scopes.split(' '), { sites, refused: connection.refused }, chosen)
  announce(await store.connections.update(connection, { ...connection, sites, ...own }, also), log)
  return await connectionOf(store, connection.userId, provider)
}
