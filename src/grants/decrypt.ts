import { AppError } from '../lib/errors.ts'
import { createMissingKeyError } from '../lib/missing-key.ts'
import type { Logger } from '../lib/http-client.ts'
import type { Grant } from '../store/repositories/grants.ts'
import type { Store } from '../store/index.ts'
import { DAMAGED_KEY_ID } from '../store/repositories/encrypted-tokens.ts'
import { parseKeyId, DecryptionError, type Vault } from '../vault/vault.ts'
import { logStateChanges } from './log-state-change.ts'
import { decryptTokens } from './encrypt.ts'

export const UNDECRYPTABLE_MESSAGE =
  'The stored tokens of this connection cannot be decrypted with the configured vault keys. ' +
  'Restore the key, or connect again.'

/** Changes the grant's state to `needs_reconnect`, unless it needs a new consent already. */
export async function markUndecryptable(
  grants: Store['grants'],
  { id, version, keyId, state }: Pick<Grant, 'id' | 'version' | 'keyId' | 'state'>,
  log: Logger
): Promise<void> {
  if (state === 'needs_reconnect') return
  const { changes } = await grants.changeState(id, version, 'needs_reconnect', {
    code: 'tokens_undecryptable',
    detail: UNDECRYPTABLE_MESSAGE
  })
  // Of several concurrent callers, only the one that changed the state logs it.
  if (changes.length > 0) {
    log.error({ event: 'grant_unreadable', grant_id: id, key_id: keyId }, UNDECRYPTABLE_MESSAGE)
  }
  logStateChanges(changes, log)
}

/**
 * Decrypts stored secrets of a grant and updates the grant's state. If decryption fails, the
 * grant becomes `needs_reconnect`, logged once; nothing is erased and no other grant is
 * affected. If it succeeds again, because the key came back, the grant works again. A grant whose
 * key this instance lacks is not damaged: nothing is written.
 *
 * @param decrypt decrypts the secrets the caller needs
 * @throws AppError `needs_reconnect`, `vault_key_missing`
 */
export async function decryptOrMark<T>(
  { store, vault }: { store: Store; vault: Vault },
  grant: Grant,
  log: Logger,
  decrypt: (vault: Vault, grant: Grant) => T
): Promise<T> {
  const isMarkedUndecryptable = grant.errorCode === 'tokens_undecryptable'
  if (grant.state === 'needs_reconnect' && !isMarkedUndecryptable) {
    throw new AppError(
      'needs_reconnect',
      grant.errorDetail ?? 'Atlassian no longer accepts this connection. Connect again.'
    )
  }
  try {
    if (isMarkedUndecryptable) decryptTokens(vault, grant)
    const decrypted = decrypt(vault, grant)
    if (isMarkedUndecryptable) await markDecryptable(store, grant, log)
    return decrypted
  } catch (cause) {
    if (!(cause instanceof DecryptionError)) throw cause
    if (grant.keyId !== DAMAGED_KEY_ID) await assertKeyPresent(store.vaultKeys, cause)
    if (!isMarkedUndecryptable) await markUndecryptable(store.grants, grant, log)
    throw new AppError('needs_reconnect', UNDECRYPTABLE_MESSAGE, { cause })
  }
}

/**
 * Tells a key that this instance lacks from a damaged ciphertext. A key is registered before it
 * encrypts, so a ciphertext that names an unregistered key is damaged.
 *
 * @throws AppError `vault_key_missing`
 */
export async function assertKeyPresent(
  vaultKeys: Pick<Store['vaultKeys'], 'list'>,
  cause: DecryptionError
): Promise<void> {
  const id = cause.missingKeyId
  if (id === undefined) return
  if ((await vaultKeys.list()).some((row) => row.id === id)) throw createMissingKeyError(id, cause)
}

async function markDecryptable(
  { grants, encryptedTokens }: Store,
  { id, version, accessToken }: Grant,
  log: Logger
): Promise<void> {
  await encryptedTokens.markEncryptedWith(id, accessToken, parseKeyId(accessToken))
  logStateChanges((await grants.changeState(id, version, 'active', null)).changes, log)
}
