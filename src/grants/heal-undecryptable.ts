import type { Logger } from '../lib/http-client.ts'
import type { Store } from '../store/index.ts'
import { parseKeyId, tryDecrypt, type Vault } from '../vault/vault.ts'
import { decryptTokens } from './encrypt.ts'
import { logStateChanges } from './log-state-change.ts'

const BATCH_SIZE = 200

export interface HealingSettings {
  store: Pick<Store, 'encryptedTokens' | 'grants'>
  vault: Vault
  now: () => number
  /** Whether connections are synced on a schedule; then those of healed grants are due at once. */
  hasSchedule: boolean
}

/**
 * Tries again to decrypt every grant that is marked as undecryptable. Those whose key came back
 * become active, with the schedules of their connections. Reads and writes batches, so the number
 * of statements does not grow with each grant.
 *
 * @returns the number of healed grants
 */
export async function healUndecryptableGrants(
  { store: { encryptedTokens, grants }, vault, now, hasSchedule }: HealingSettings,
  log: Logger
): Promise<number> {
  let healed = 0
  for (let after = ''; ;) {
    const batch = await encryptedTokens.listUndecryptable(after, BATCH_SIZE)
    const last = batch.at(-1)
    if (last === undefined) break
    after = last.id
    const readable = batch.filter(
      (row) => tryDecrypt(() => decryptTokens(vault, row)) !== undefined
    )
    for (const [keyId, rows] of Map.groupBy(readable, (row) => parseKeyId(row.accessToken))) {
      const changes = await grants.restoreDecryptable(
        rows.map(({ id }) => id),
        keyId,
        new Date(now()),
        hasSchedule
      )
      logStateChanges(changes, log)
      healed += rows.length
    }
  }
  if (healed > 0) {
    log.info({ event: 'grants_readable', grants: healed }, 'Grants can be decrypted again.')
  }
  return healed
}
