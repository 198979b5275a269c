import { AppError } from '../lib/errors.ts'
import type { Logger } from '../lib/http-client.ts'
import { retryOnConflict } from '../lib/retry.ts'
import { logStateChanges } from '../grants/log-state-change.ts'
import { fetchProductSites } from '../providers/atlassian.ts'
import type { Provider } from '../providers/provider.ts'
import type { ProviderRegistry } from '../providers/registry.ts'
import type { AuditEntry } from '../store/repositories/audit-log.ts'
import type {
  Connection,
  ConnectionUpdate,
  ConnectionWithGrant
} from '../store/repositories/connections.ts'
import type { StatementBuilder } from '../store/engine.ts'
import type { Grant } from '../store/repositories/grants.ts'
import type { Store } from '../store/index.ts'
import type { Site } from '../model/site.ts'
import { createAuthorizedClient, type AuthorizedClientSettings } from './authorized-client.ts'
import { resolveConnectionState } from './resolve-state.ts'

/** Attempts if concurrent writers change the connection. */
const MAX_ATTEMPTS = 5

const SITES_CHANGED_REASON = {
  code: 'interrupted',
  detail: 'Other sites were selected during the run.'
} as const

/** Stops the active runs of an owner and product; resolves when they have stopped. */
export type StopRuns = (userId: number, provider: string) => Promise<void>

export interface SiteSettings extends AuthorizedClientSettings {
  providers: ProviderRegistry
  /**
   * Returns the gateway URL for a grant.
   *
   * @throws AppError `needs_reconnect` if its client was removed
   */
  resolveApiUrl: (grant: Grant) => string
  /** Builds the statements that erase an owner's copies from these sites, or from all. */
  eraseCopiesStatements: (
    userId: number,
    provider: string,
    cloudIds?: string[]
  ) => StatementBuilder[]
}

/**
 * Asks Atlassian which sites the connection reaches now, which also proves that its tokens work,
 * and stores what changed.
 *
 * @throws AppError `connection_not_found`, or the reason why the tokens do not work
 */
export async function checkConnection(
  settings: SiteSettings,
  userId: number,
  provider: Provider,
  log: Logger
): Promise<ConnectionWithGrant> {
  const existing = await requireConnection(settings.store, userId, provider)
  const sites = await fetchSites(settings, provider, existing, log)
  return await updateWithRetry(settings, existing, (connection) => ({ ...connection, sites }), log)
}

/**
 * Selects the sites of a connection from a fresh list. Stops its active run and erases what was
 * copied from sites that are no longer selected.
 *
 * @throws AppError `validation_failed` for a site that is not in the list; otherwise as
 *   `checkConnection`
 */
export async function selectSites(
  settings: SiteSettings,
  stopRuns: StopRuns,
  userId: number,
  provider: Provider,
  cloudIds: readonly string[],
  pointer: string,
  log: Logger
): Promise<ConnectionWithGrant> {
  const existing = await requireConnection(settings.store, userId, provider)
  settings.store.audit.assertCanAppend()
  const sites = await fetchSites(settings, provider, existing, log)
  const selectedSites = sites.filter(({ cloudId }) => cloudIds.includes(cloudId))
  if (selectedSites.length < new Set(cloudIds).size) {
    const detail =
      `The consent does not reach this site with ${provider.title}. ` +
      'GET /users/{user_id}/connections lists those it reaches.'
    throw new AppError('validation_failed', detail, { errors: [{ pointer, detail }] })
  }
  await stopRuns(userId, provider.id)
  return await updateWithRetry(
    settings,
    existing,
    (connection) => ({ ...connection, sites, selectedSites }),
    log,
    (connection) => {
      const droppedCloudIds = connection.selectedSites
        .filter(({ cloudId }) => !cloudIds.includes(cloudId))
        .map(({ cloudId }) => cloudId)
      // A run that started in between used the old selection and must not save anything.
      return [
        settings.store.runs.failActiveStatement(userId, provider.id, SITES_CHANGED_REASON),
        ...(droppedCloudIds.length === 0
          ? []
          : settings.eraseCopiesStatements(userId, provider.id, droppedCloudIds))
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
 * Re-evaluates a grant's connections after its scopes have changed.
 *
 * @param isNewConsent true after a consent, which also clears earlier refusals of the gateway
 */
export async function reevaluateConnections(
  settings: Pick<SiteSettings, 'store' | 'providers'>,
  grantId: string,
  isNewConsent: boolean,
  log: Logger
): Promise<void> {
  for (const connectionWithGrant of await settings.store.connections.listByGrant(grantId)) {
    await updateWithRetry(
      settings,
      connectionWithGrant,
      (connection) => (isNewConsent ? { ...connection, refusedFeatures: [] } : connection),
      log
    )
  }
}

/**
 * Records that the gateway refuses a feature for a missing scope although the consent includes
 * it, or that it no longer does.
 */
export async function recordScopeRefusal(
  settings: Pick<SiteSettings, 'store' | 'providers'>,
  connectionWithGrant: ConnectionWithGrant,
  feature: string,
  isRefused: boolean,
  log: Logger
): Promise<void> {
  await updateWithRetry(
    settings,
    connectionWithGrant,
    (connection) => {
      const others = connection.refusedFeatures.filter((name) => name !== feature)
      // What was observed before a new consent does not apply to it.
      return connection.connectedAt.getTime() ===
        connectionWithGrant.connection.connectedAt.getTime()
        ? { ...connection, refusedFeatures: isRefused ? [...others, feature] : others }
        : connection
    },
    log
  )
}

/** @throws AppError `connection_not_found` */
export async function requireConnection(
  store: Store,
  userId: number,
  { id, title }: Provider
): Promise<ConnectionWithGrant> {
  const connection = await store.connections.get(userId, id)
  if (connection === undefined) {
    throw new AppError('connection_not_found', `This user has not connected ${title}.`)
  }
  return connection
}

async function fetchSites(
  settings: SiteSettings,
  provider: Provider,
  { grant }: ConnectionWithGrant,
  log: Logger
): Promise<Site[]> {
  return await fetchProductSites(provider, {
    sendAuthorized: createAuthorizedClient(settings, grant, log),
    apiUrl: settings.resolveApiUrl(grant),
    log
  })
}

/**
 * Updates a connection with what was learned about it. If another writer changed it first,
 * applies the change again to the new row, as long as it belongs to the same consent.
 *
 * @param applyChange returns the updated connection
 * @param buildStatements further statements for the same transaction
 * @param buildAuditEntries audit entries for what a caller requested
 */
async function updateWithRetry(
  { store, providers }: Pick<SiteSettings, 'store' | 'providers'>,
  { connection: { userId, provider: id, grantId } }: ConnectionWithGrant,
  applyChange: (connection: Connection) => Connection,
  log: Logger,
  buildStatements: (connection: Connection) => StatementBuilder[] = () => [],
  buildAuditEntries: (connection: Connection) => AuditEntry[] = () => []
): Promise<ConnectionWithGrant> {
  const provider = providers.get(id)
  const result = await retryOnConflict(async () => {
    const current = await requireConnection(store, userId, provider)
    if (current.connection.grantId !== grantId) throw createConflictError()
    if (!current.connection.isAuthentic) return current
    const updated = applyChange(current.connection)
    const resolvedState = resolveConnectionState(
      provider,
      current.grant.scopes.split(' '),
      updated,
      updated.selectedSites
    )
    const next = { ...updated, ...resolvedState }
    const statements = buildStatements(current.connection)
    if (statements.length === 0 && isUnchanged(current.connection, next)) return current
    const changes = await store.connections.update(
      current.connection,
      next,
      statements,
      buildAuditEntries(current.connection)
    )
    if (changes === undefined) return undefined
    logStateChanges(changes, log)
    return await requireConnection(store, userId, provider)
  }, MAX_ATTEMPTS)
  if (result === undefined) throw createConflictError()
  return result
}

function createConflictError(): AppError {
  return new AppError(
    'unavailable',
    'The connection was changed by another request at the same time. Try again.',
    { retryAfterS: 1 }
  )
}

function isUnchanged(before: Connection, { reason, ...next }: ConnectionUpdate): boolean {
  const serialize = ({
    sites,
    selectedSites,
    refusedFeatures,
    state
  }: ConnectionUpdate | Connection) =>
    JSON.stringify([sites, selectedSites, refusedFeatures, state])
  return (
    serialize(before) === serialize({ ...next, reason }) &&
    before.errorDetail === (reason?.detail ?? null)
  )
}
