import { AppError } from '../lib/errors.ts'
import type { Http, Log } from '../lib/http-client.ts'
import { placeOf, type Budget } from '../rate-budget/rate-budget.ts'
import type { Access } from '../grants/access-token.ts'
import { announce } from '../grants/log-state-change.ts'
import { createAsk, sitesOf, type Ask, type Turn } from '../providers/atlassian.ts'
import { providerOf, type Provider, type ProviderId } from '../providers/index.ts'
import type { Entry } from '../store/repositories/audit-log.ts'
import type { Connection, Own, Standing } from '../store/repositories/connections.ts'
import type { WithStatement } from '../store/engine.ts'
import type { Grant } from '../store/repositories/grants.ts'
import type { Store } from '../store/index.ts'
import type { Site } from '../model/site.ts'
import { standing } from './resolve-state.ts'

/** How often is decided again when others write at the same moment. */
const TRIES = 5

const CHOSEN = { code: 'interrupted', detail: 'Other sites were chosen during the run.' } as const

/** Stops what is being copied for an owner; resolves when it has stopped. */
export type StopRuns = (userId: number, provider: string) => Promise<void>

export interface SiteSettings {
  store: Store
  http: Http
  now: () => number
  access: Access
  budget: Budget
  /** The gateway that serves a grant. @throws AppError `needs_reconnect` where its client is gone */
  apiUrlOf: (grant: Grant) => string
  /** Erases what was copied for an owner from these sites, or from all. */
  erasing: (userId: number, provider: ProviderId, cloudIds?: string[]) => WithStatement[]
}

/** Asks Atlassian in a grant's name, within its budget: somebody waits for the answer unless `turn` says otherwise. */
export function askFor(
  { store, http, now, access, budget }: SiteSettings,
  grant: Grant,
  log: Log,
  { signal, turn }: { signal?: AbortSignal; turn?: Turn } = {}
): Ask {
  return createAsk({
    http,
    log,
    tokens: {
      get: async (refused) => await access.accessToken(grant.id, { log, refused }),
      latest: async () => {
        access.forget(grant.id)
        return await access.accessToken(grant.id, { log })
      },
      expired: async () =>
        ((await store.grants.get(grant.id))?.accessExpiresAt.getTime() ?? Infinity) <= now()
    },
    turn:
      turn ??
      (async (method, url, send) =>
        await budget.call(
          placeOf(grant.clientId, method, url),
          { interactive: true, signal },
          send
        )),
    ...(signal === undefined ? {} : { signal })
  })
}

/**
 * Asks Atlassian which sites the connection reaches now, which also proves that its tokens work, and writes down what that
 * changes.
 *
 * @throws AppError `connection_not_found`, or whatever keeps the tokens from working
 */
export async function checkConnection(
  settings: SiteSettings,
  userId: number,
  provider: Provider,
  log: Log
): Promise<Standing> {
  const before = await connectionOf(settings.store, userId, provider)
  const sites = await freshSites(settings, provider, before, log)
  return await settled(settings.store, before, (connection) => ({ ...connection, sites }), log)
}

/**
 * Binds a connection to the sites named, out of a fresh list. What is being copied is stopped, and what was copied from sites
 * that it is no longer bound to is erased.
 *
 * @throws AppError `validation_failed` for a site that is not in the list; else as `checkConnection`
 */
export async function chooseSites(
  settings: SiteSettings,
  stopRuns: StopRuns,
  userId: number,
  provider: Provider,
  cloudIds: readonly string[],
  pointer: string,
  log: Log
): Promise<Standing> {
  const before = await connectionOf(settings.store, userId, provider)
  const sites = await freshSites(settings, provider, before, log)
  const bound = sites.filter(({ cloudId }) => cloudIds.includes(cloudId))
  if (bound.length < new Set(cloudIds).size) {
    const detail = `The consent reaches no such site with ${provider.title}. GET /users/{user_id}/connections lists those it reaches.`
    throw new AppError('validation_failed', detail, { errors: [{ pointer, detail }] })
  }
  await stopRuns(userId, provider.id)
  return await settled(
    settings.store,
    before,
    (connection) => ({ ...connection, sites, bound }),
    log,
    (connection) => {
      const dropped = connection.bound
        .filter(({ cloudId }) => !cloudIds.includes(cloudId))
        .map(({ cloudId }) => cloudId)
      // A run that began in between goes by the old choice, and saves nothing any more.
      return [
        settings.store.runs.endingActive(userId, provider.id, CHOSEN),
        ...(dropped.length === 0 ? [] : settings.erasing(userId, provider.id, dropped))
      ]
    },
    ({ id }) => [
      {
        action: 'sites_chosen',
        userId,
        connectionId: id,
        product: provider.id,
        detail: { sites: cloudIds }
      }
    ]
  )
}

/**
 * Looks again at what a grant's connections can do, after its scopes have changed.
 *
 * @param anew after a consent, which also makes up for what the gateway refused before
 */
export async function reviewGrant(
  store: Store,
  grantId: string,
  anew: boolean,
  log: Log
): Promise<void> {
  for (const standing of await store.connections.ofGrant(grantId)) {
    await settled(
      store,
      standing,
      (connection) => (anew ? { ...connection, refused: [] } : connection),
      log
    )
  }
}

/** Remembers that the gateway refused a feature for its scope, whatever the token said, or that it no longer does. */
export async function noteRefusal(
  store: Store,
  standing: Standing,
  feature: string,
  isRefused: boolean,
  log: Log
): Promise<void> {
  await settled(
    store,
    standing,
    (connection) => {
      const others = connection.refused.filter((name) => name !== feature)
      // What was seen before a new consent says nothing of it.
      return connection.connectedAt.getTime() === standing.connection.connectedAt.getTime()
        ? { ...connection, refused: isRefused ? [...others, feature] : others }
        : connection
    },
    log
  )
}

/** @throws AppError `connection_not_found` */
export async function connectionOf(
  store: Store,
  userId: number,
  { id, title }: Provider
): Promise<Standing> {
  const found = await store.connections.get(userId, id)
  if (found === undefined) {
    throw new AppError('connection_not_found', `This user has not connected ${title}.`)
  }
  return found
}

async function freshSites(
  settings: SiteSettings,
  provider: Provider,
  { grant }: Standing,
  log: Log
): Promise<Site[]> {
  return await sitesOf(provider, {
    ask: askFor(settings, grant, log),
    apiUrl: settings.apiUrlOf(grant),
    log
  })
}

/**
 * Writes what has been learned about a connection. Others may have written meanwhile: then it is decided again on what they
 * wrote, as long as it is still about the same consent.
 *
 * @param learn the connection with what is known now
 * @param also what is to be done with it
 * @param told what somebody has asked for with it
 */
async function settled(
  store: Store,
  { connection: { userId, provider: id, grantId } }: Standing,
  learn: (connection: Connection) => Connection,
  log: Log,
  also: (connection: Connection) => WithStatement[] = () => [],
  told: (connection: Connection) => Entry[] = () => []
): Promise<Standing> {
  const provider = providerOf(id)
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const current = await connectionOf(store, userId, provider)
    if (current.connection.grantId !== grantId) break
    const known = learn(current.connection)
    const own = standing(provider, current.grant.scopes.split(' '), known, known.bound)
    const next = { ...known, ...own }
    const done = also(current.connection)
    if (done.length === 0 && isSame(current.connection, next)) return current
    const changes = await store.connections.update(
      current.connection,
      next,
      done,
      told(current.connection)
    )
    if (changes === undefined) continue
    announce(changes, log)
    return await connectionOf(store, userId, provider)
  }
  throw new AppError('unavailable', 'The connection was changed at the same moment. Try again.', {
    retryAfterS: 1
  })
}

function isSame(before: Connection, { reason, ...next }: Own): boolean {
  const told = ({ sites, bound, refused, state }: Own | Connection) =>
    JSON.stringify([sites, bound, refused, state])
  return (
    told(before) === told({ ...next, reason }) && before.errorDetail === (reason?.detail ?? null)
  )
}
