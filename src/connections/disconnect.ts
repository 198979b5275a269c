import type { Logger } from '../lib/http-client.ts'
import type { Provider } from '../providers/provider.ts'
import { DISCONNECTED_REASON, eraseFromDisk, type ErasureSettings } from './erasure.ts'
import { requireConnection, type SiteSettings } from './sites.ts'

export interface DisconnectSettings extends ErasureSettings {
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
 * @throws AppError `connection_not_found`; `vault_key_missing` before anything is changed
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
  store.audit.assertCanAppend()
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
