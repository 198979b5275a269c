import type { TokenProvider } from '../grants/access-token.ts'
import type { Logger } from '../lib/http-client.ts'
import type { ProviderRegistry } from '../providers/registry.ts'
import type { StatementBuilder } from '../store/engine.ts'
import type { Store } from '../store/index.ts'
import type { UserRow } from '../store/repositories/users.ts'
import type { StopRuns } from './sites.ts'

/** The reason recorded for a run whose connection was removed. */
export const DISCONNECTED_REASON = {
  code: 'disconnected',
  detail: 'The connection was removed during the run.'
} as const

export interface ErasureSettings {
  store: Store
  tokenProvider: TokenProvider
  stopRuns: StopRuns
}

/**
 * Removes a user: every connection and all personal data. With `keepCopies` the copies stay,
 * under an anonymous owner.
 *
 * @returns the products that were connected
 * @throws AppError `vault_key_missing` before anything is changed
 */
export async function removeUser(
  settings: ErasureSettings & { providers: ProviderRegistry },
  user: UserRow,
  keepCopies: boolean,
  log: Logger
): Promise<string[]> {
  const { store, stopRuns } = settings
  const connections = await store.connections.list(user.id)
  store.audit.assertCanAppend()
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

/**
 * Builds the statements that erase what was copied for a user and product.
 *
 * @returns a function; `cloudIds` limits the erasure to these sites
 */
export function createCopyEraser(store: Store, providers: ProviderRegistry) {
  return (userId: number, provider: string, cloudIds?: string[]): StatementBuilder[] => [
    ...providers
      .get(provider)
      .collections.map(({ name }) => store.items(name).eraseStatement(userId, cloudIds)),
    store.checkpoints.deleteStatement(userId, provider, cloudIds),
    store.changeFeed.resetStatement(userId)
  ]
}

/** Drops tokens from memory and truncates the WAL. */
export async function eraseFromDisk(
  { store, tokenProvider }: Pick<ErasureSettings, 'store' | 'tokenProvider'>,
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
