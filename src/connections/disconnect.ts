import type { Logger } from '../lib/http-client.ts'
import type { TokenProvider } from '../grants/access-token.ts'
import { providers, type Provider } from '../providers/index.ts'
import type { Store } from '../store/index.ts'
import type { UserRow } from '../store/repositories/users.ts'
import { requireConnection, type SiteSettings, type StopRuns } from './sites.ts'

/** What is said of a run whose connection ended. */
export const DISCONNECTED_REASON = {
  code: 'disconnected',
  detail: 'The connection was ended during the run.'
} as const

export interface DisconnectSettings {
  store: Store
  tokenProvider: TokenProvider
  stopRuns: StopRuns
  eraseCopiesStatements: SiteSettings['eraseCopiesStatements']
}

/** What became of a connection's tokens: kept only where another connection lives on them. */
export interface DisconnectResult {
  tokensErased: boolean
}

/**
 * Ends a connection: its run, its tokens (unless another connection uses the same consent), and its copies unless they are
 * kept. What is erased is not in the database's files any more either.
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
    // One may have begun since.
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
 * Ends a user: every connection, and everything that names the person. With `keepCopies` the copies stay, under an owner
 * who is nobody any more.
 *
 * @returns the products that were connected
 */
export async function removeUser(
  settings: Omit<DisconnectSettings, 'eraseCopiesStatements'>,
  user: UserRow,
  keepCopies: boolean,
  log: Logger
): Promise<string[]> {
  const { store, stopRuns } = settings
  const connections = await store.connections.list(user.id)
  for (const { connection } of connections) await stopRuns(user.id, connection.provider)
  const deleteLoginsStatement = await store.loginFlows.deleteForUserStatement(user)
  await store.connections.remove(user.id, undefined, [
    ...providers.map(({ id }) => store.runs.failActiveStatement(user.id, id, DISCONNECTED_REASON)),
    keepCopies ? store.users.anonymizeStatement(user.id) : store.users.deleteStatement(user.id),
    // Where the row stays nothing goes along with it by itself.
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

/** Out of memory, and out of the files. */
export async function eraseFromDisk(
  { store, tokenProvider }: Pick<DisconnectSettings, 'store' | 'tokenProvider'>,
  grantIds: string[],
  log: Logger
): Promise<void> {
  for (const id of grantIds) tokenProvider.invalidate(id)
  if (!(await store.truncateWal())) {
    log.warn(
      { event: 'wal_truncate_deferred' },
      'Another process is reading the database; what was erased leaves its log file a little later.'
    )
  }
}
