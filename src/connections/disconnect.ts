import type { Logger } from '../lib/http-client.ts'
import type { TokenProvider } from '../grants/access-token.ts'
import type { Provider } from '../providers/provider.ts'
import type { ProviderRegistry } from '../providers/registry.ts'
import type { Store } from '../store/index.ts'
import type { UserRow } from '../store/repositories/users.ts'
import { requireConnection, type SiteSettings, type StopRuns } from './sites.ts'

/** The reason recorded for a run whose connection was removed. */
export const DISCONNECTED_REASON = {
  code: 'disconnected',
  detail: 'The connection was removed during the run.'
} as const

export interface DisconnectSettings {
  store: Store
  tokenProvider: TokenProvider
  stopRuns: StopRuns
  eraseCopiesStatements: SiteSettings['eraseCopiesStatements']
}

/**
 * Whether a connection's tokens were erased or kept; they are kept only if another connection
 * uses them.
 */
export interface DisconnectResult {
  tokensErased: boolean
}

/**
 * Removes a connection: its run, its tokens (unless another connection uses the grant), and its
 * copies unless `keepCopies`. Erased data is removed from the database's files as well.
 *
 * @throws AppError `connection_not_found`
 */
export async function disconnect(
  settings: DisconnectSettings,
  userId: number,
  provider: Provider,
  keepCopies: boolean,
  log: Logger
): Promise<DisconnectResult> {
  const { store, stopRuns, eraseCopiesStatements } = settings
  const { connection } = await requireConnection(store, userId, provider)
  await stopRuns(userId, provider.id)
  const erasedGrantIds = await store.connections.remove(userId, provider.id, [
    // A run may have started since.
    store.runs.failActiveStatement(userId, provider.id, DISCONNECTED_REASON),
    ...(keepCopies ? [] : eraseCopiesStatements(userId, provider.id))
  ])
  await eraseFromDisk(settings, [connection.grantId], log)
  log.info({
    event: 'connection_removed',
    connection_id: connection.id,
    user_id: userId,
    product: provider.id,
    copies_kept: keepCopies,
    tokens_erased: erasedGrantIds.length > 0
  })
  return { tokensErased: erasedGrantIds.length > 0 }
}

/**
 * Removes a user: every connection and all personal data. With `keepCopies` the copies stay,
 * under an anonymous owner.
 *
 * @returns the products that were connected
 */
export async function removeUser(
  settings: Omit<DisconnectSettings, 'eraseCopiesStatements'> & { providers: ProviderRegistry },
  user: UserRow,
  keepCopies: boolean,
  log: Logger
): Promise<string[]> {
  const { store, stopRuns } = settings
  const connections = await store.connections.list(user.id)
  for (const { connection } of connections) await stopRuns(user.id, connection.provider)
  const deleteLoginsStatement = await store.loginFlows.deleteForUserStatement(user)
  await store.connections.remove(user.id, undefined, [
    ...settings.providers.all.map(({ id }) =>
      store.runs.failActiveStatement(user.id, id, DISCONNECTED_REASON)
    ),
    keepCopies ? store.users.anonymizeStatement(user.id) : store.users.deleteStatement(user.id),
    // If the user's row stays, foreign keys delete nothing.
    store.connectSessions.deleteForUserStatement(user.id),
    store.identities.deleteForUserStatement(user.id),
    deleteLoginsStatement
  ])
  await eraseFromDisk(
    settings,
    connections.map(({ grant }) => grant.id),
    log
  )
  log.info({ event: 'user_removed', user_id: user.id, copies_kept: keepCopies })
  return connections.map(({ connection }) => connection.provider)
}

/** Drops tokens from memory and truncates the WAL. */
export async function eraseFromDisk(
  { store, tokenProvider }: Pick<DisconnectSettings, 'store' | 'tokenProvider'>,
  grantIds: string[],
  log: Logger
): Promise<void> {
  for (const id of grantIds) tokenProvider.invalidate(id)
  if (!(await store.truncateWal())) {
    log.warn(
      { event: 'wal_truncate_deferred' },
      'Another process is reading the database; erased data leaves the WAL file a little later.'
    )
  }
}
