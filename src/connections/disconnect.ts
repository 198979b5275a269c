import type { Log } from '../lib/http-client.ts'
import type { Access } from '../grants/access-token.ts'
import { providers, type Provider } from '../providers/index.ts'
import type { Store } from '../store/index.ts'
import type { UserRow } from '../store/repositories/users.ts'
import { connectionOf, type SiteSettings, type StopRuns } from './sites.ts'

/** What is said of a run whose connection ended. */
export const DISCONNECTED = {
  code: 'disconnected',
  detail: 'The connection was ended during the run.'
} as const

export interface LeaveSettings {
  store: Store
  access: Access
  stopRuns: StopRuns
  erasing: SiteSettings['erasing']
}

/** What became of a connection's tokens: kept only where another connection lives on them. */
export interface Left {
  tokensErased: boolean
}

/**
 * Ends a connection: its run, its tokens (unless another connection uses the same consent), and its copies unless they are
 * kept. What is erased is not in the database's files any more either.
 *
 * @throws AppError `connection_not_found`
 */
export async function disconnect(
  settings: LeaveSettings,
  userId: number,
  provider: Provider,
  keepCopies: boolean,
  log: Log
): Promise<Left> {
  const { store, stopRuns, erasing } = settings
  const { connection } = await connectionOf(store, userId, provider)
  await stopRuns(userId, provider.id)
  const erased = await store.connections.remove(userId, provider.id, [
    // One may have begun since.
    store.runs.endingActive(userId, provider.id, DISCONNECTED),
    ...(keepCopies ? [] : erasing(userId, provider.id))
  ])
  await vanish(settings, [connection.grantId], log)
  log.info({
    event: 'connection_removed',
    connection_id: connection.id,
    user_id: userId,
    product: provider.id,
    copies_kept: keepCopies,
    tokens_erased: erased.length > 0
  })
  return { tokensErased: erased.length > 0 }
}

/**
 * Ends a user: every connection, and everything that names the person. With `keepCopies` the copies stay, under an owner
 * who is nobody any more.
 *
 * @returns the products that were connected
 */
export async function removeUser(
  settings: Omit<LeaveSettings, 'erasing'>,
  user: UserRow,
  keepCopies: boolean,
  log: Log
): Promise<string[]> {
  const { store, stopRuns } = settings
  const standings = await store.connections.list(user.id)
  for (const { connection } of standings) await stopRuns(user.id, connection.provider)
  const logins = await store.flows.forgetting(user)
  await store.connections.remove(user.id, undefined, [
    ...providers.map(({ id }) => store.runs.endingActive(user.id, id, DISCONNECTED)),
    keepCopies ? store.users.anonymising(user.id) : store.users.removing(user.id),
    // Where the row stays nothing goes along with it by itself.
    store.sessions.forgetting(user.id),
    store.identities.forgetting(user.id),
    logins
  ])
  await vanish(
    settings,
    standings.map(({ grant }) => grant.id),
    log
  )
  log.info({ event: 'user_removed', user_id: user.id, copies_kept: keepCopies })
  return standings.map(({ connection }) => connection.provider)
}

/** Out of memory, and out of the files. */
export async function vanish(
  { store, access }: Pick<LeaveSettings, 'store' | 'access'>,
  grantIds: string[],
  log: Log
): Promise<void> {
  for (const id of grantIds) access.forget(id)
  if (!(await store.scrub())) {
    log.warn(
      { event: 'wal_truncate_deferred' },
      'Another process is reading the database; what was erased leaves its log file a little later.'
    )
  }
}
