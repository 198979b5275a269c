import type { Logger } from '../lib/http-client.ts'
import type { Store } from '../store/index.ts'
import type { Keyring } from '../vault/keyring.ts'
import type { Vault } from '../vault/vault.ts'
import { UNDECRYPTABLE_MESSAGE } from './decrypt.ts'
import { logStateChanges } from './log-state-change.ts'
import { createAuditSigner } from './signing-keys.ts'

const BATCH_SIZE = 200

/** What only one key can decrypt or verify. */
export interface KeyDependents {
  grants: number
  connections: number
}

export async function countKeyDependents(
  {
    encryptedTokens,
    connectionSignatures
  }: Pick<Store, 'encryptedTokens' | 'connectionSignatures'>,
  keyId: string
): Promise<KeyDependents> {
  return {
    grants: (await encryptedTokens.countByKey()).get(keyId) ?? 0,
    connections: await connectionSignatures.countSignedWith(keyId)
  }
}

/**
 * Gives up a lost key: its grants become `needs_reconnect`, in batches, and stop keeping the key in
 * use. Connections that it signed are signed again where its archived signing key verifies them;
 * the others have to be connected again.
 *
 * @returns how many grants and connections needed the key
 */
export async function giveUpKey(
  { store, vault, keyring }: { store: Store; vault: Vault; keyring: Keyring },
  keyId: string,
  log: Logger
): Promise<KeyDependents> {
  const dependents = await countKeyDependents(store, keyId)
  await store.audit.append({
    action: 'vault_key_given_up',
    detail: { key: keyId, ...dependents }
  })
  for (;;) {
    const batch = await store.encryptedTokens.listEncryptedWith(keyId, BATCH_SIZE)
    if (batch.length === 0) break
    const ids = batch.map(({ id }) => id)
    const reason = { code: 'tokens_undecryptable', detail: UNDECRYPTABLE_MESSAGE }
    logStateChanges(await store.grants.giveUp(ids, keyId, reason), log)
  }
  const archiveSigner = await createAuditSigner(store.vaultKeys, keyring, vault)
  for (let after = 0; ;) {
    const batch = await store.connectionSignatures.renewBatch(after, BATCH_SIZE, archiveSigner)
    if (batch === undefined) break
    after = batch.last
  }
  await store.connectionSignatures.giveUpKey(keyId)
  return dependents
}
