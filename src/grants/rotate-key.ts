import type { Logger } from '../lib/http-client.ts'
import type { Store } from '../store/index.ts'
import type { EncryptedTokens, EncryptedTokensRow } from '../store/repositories/encrypted-tokens.ts'
import { DecryptionError, type Vault } from '../vault/vault.ts'
import { assertKeyPresent, markUndecryptable, decryptOrMark } from './decrypt.ts'
import { decryptTokens, encryptTokens } from './encrypt.ts'

const serializeTokens = ({ accessToken, refreshToken, previousRefreshToken }: EncryptedTokens) =>
  JSON.stringify([accessToken, refreshToken, previousRefreshToken])

/** Small, so that other writers wait for one transaction a few milliseconds at most. */
const BATCH_SIZE = 50
const SECRETS_PER_GRANT = 3

export interface KeyRotationProgress {
  reencrypted: number
  remaining: number
  undecryptable: number
}

/**
 * Re-encrypts every grant with the active key and signs every connection with it, in small
 * batches, while the service runs. It keeps no state besides the current batch: interrupted
 * anywhere, the next run continues. A
 * grant that is refreshed meanwhile keeps what the refresh wrote; one that cannot be decrypted
 * is marked as damaged and kept. All keys in use must be present (`verifyKeyring`).
 *
 * @param onProgress called after each batch
 * @throws AppError `vault_key_missing` if a grant was written meanwhile with a key that is not here
 */
export async function rotateKey(
  settings: { store: Store; vault: Vault },
  log: Logger,
  onProgress: (progress: KeyRotationProgress) => void = () => {}
): Promise<KeyRotationProgress> {
  const { store, vault } = settings
  const { encryptedTokens } = store
  let [reencrypted, undecryptable] = [0, 0]
  const countRemaining = async () =>
    [...(await encryptedTokens.countByKey())]
      .filter(([id]) => id !== vault.keyId)
      .reduce((sum, [, count]) => sum + count, 0)

  /** Covers all remaining grants once; grants refreshed in between are covered by the next pass. */
  async function runPass(): Promise<void> {
    for (let after = ''; ;) {
      const batch = await encryptedTokens.listEncryptedWithOtherKey(vault.keyId, after, BATCH_SIZE)
      const last = batch.at(-1)
      if (last === undefined) return
      after = last.id
      await vault.prepareToEncrypt(BATCH_SIZE * SECRETS_PER_GRANT)
      const failures: DecryptionError[] = []
      const replacements = batch.flatMap((old) => {
        try {
          return [
            { id: old.id, old, fresh: encryptTokens(vault, old.id, decryptTokens(vault, old)) }
          ]
        } catch (error) {
          if (!(error instanceof DecryptionError)) throw error
          failures.push(error)
          return []
        }
      })
      for (const failure of failures) await assertKeyPresent(store.vaultKeys, failure)
      reencrypted += await encryptedTokens.replace(replacements)
      const decryptable = new Set(replacements.map(({ id }) => id))
      for (const row of batch) {
        if (!decryptable.has(row.id) || row.errorCode === 'tokens_undecryptable') {
          await recheckGrant(row, decryptable.has(row.id))
        }
      }
      onProgress({ reencrypted, remaining: await countRemaining(), undecryptable })
    }
  }

  /**
   * A grant that can be decrypted loses its mark; one that cannot, with all keys present, is
   * damaged.
   */
  async function recheckGrant(row: EncryptedTokensRow, canDecrypt: boolean): Promise<void> {
    const grant = await store.grants.get(row.id)
    if (grant === undefined) return
    if (canDecrypt) await decryptOrMark(settings, grant, log, decryptTokens)
    // The row has changed meanwhile.
    if (canDecrypt || serializeTokens(grant) !== serializeTokens(row)) return
    await markUndecryptable(store.grants, grant, log)
    await encryptedTokens.markDamaged(grant)
    undecryptable++
  }

  let previousCount = Infinity
  for (
    let count = await countRemaining();
    count > 0 && count < previousCount;
    count = await countRemaining()
  ) {
    previousCount = count
    await runPass()
  }
  await renewConnectionSignatures(store)
  await vault.settleUses()
  return { reencrypted, remaining: await countRemaining(), undecryptable }
}

async function renewConnectionSignatures({ connectionSignatures }: Store): Promise<void> {
  for (let after = 0; ;) {
    const batch = await connectionSignatures.renewBatch(after, BATCH_SIZE)
    if (batch === undefined) return
    after = batch.last
  }
}
