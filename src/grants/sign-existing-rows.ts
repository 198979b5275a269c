import type { Logger } from '../lib/http-client.ts'
import type { Store } from '../store/index.ts'
import type { EncryptedTokensRow } from '../store/repositories/encrypted-tokens.ts'
import {
  isLegacyEnvelope,
  LEGACY_ENVELOPE_VERSION,
  tryDecrypt,
  type Vault
} from '../vault/vault.ts'
import { decryptAccessToken, decryptTokens, encryptTokens } from './encrypt.ts'

const BATCH_SIZE = 200
const CURRENT_PREFIX = 'v2.'

/**
 * Signs the connections and the audit trail of a version that did not sign them, once. Which rows
 * these are is not taken from the database's word: only a version that does not sign writes tokens in
 * the vault's legacy format, and nobody without the key can write that format. So a connection is
 * signed only if its grant is still encrypted in it, and the grant is re-encrypted afterwards. An
 * unsigned connection to any other grant was changed by somebody else and stays unusable.
 */
export async function signExistingRows(
  { store, vault }: { store: Store; vault: Vault },
  log: Logger
): Promise<void> {
  const head = await store.audit.getHead()
  const isUnsigned = head === undefined || head.signature === ''
  const isSignatureExpected = isUnsigned && (await hasGrantsOfThisVersion(store, vault))
  const connections = await signConnections(store, vault)
  await reencryptLegacyGrants(store, vault)
  const mustSignTrail = isUnsigned && (isSignatureExpected || (head?.seq ?? 0) > 0)
  if (!mustSignTrail && connections === 0) return
  if (!(await store.audit.sign(connections, isSignatureExpected))) return
  if (isSignatureExpected) {
    log.error(
      { event: 'audit_damaged' },
      'The audit trail is not signed, although a version that signs it has used this database: ' +
        'somebody else changed it. From now on, an entry says so.'
    )
  } else {
    log.warn(
      { event: 'rows_signed', connections, audit_rows: mustSignTrail ? (head?.seq ?? 0) : 0 },
      'Signed the connections and the audit trail of an earlier version, as they were found.'
    )
  }
}

/** Whether any grant was encrypted by a version that signs, also if its format was disguised. */
async function hasGrantsOfThisVersion(store: Store, vault: Vault): Promise<boolean> {
  if ((await store.encryptedTokens.listByPrefix(CURRENT_PREFIX, '', 1)).length > 0) return true
  for await (const grant of listLegacyGrants(store)) {
    const accessToken = CURRENT_PREFIX + grant.accessToken.slice(CURRENT_PREFIX.length)
    if (tryDecrypt(() => decryptAccessToken(vault, { ...grant, accessToken })) !== undefined) {
      return true
    }
  }
  return false
}

async function signConnections({ connectionSignatures }: Store, vault: Vault): Promise<number> {
  let signed = 0
  for (let after = 0; ;) {
    const batch = await connectionSignatures.listUnsigned(after, BATCH_SIZE)
    const last = batch.at(-1)
    if (last === undefined) return signed
    after = last.id
    for (const connection of batch) {
      const { grantId: id, accessToken } = connection
      if (
        isLegacyEnvelope(accessToken) &&
        tryDecrypt(() => decryptAccessToken(vault, { id, accessToken })) !== undefined
      ) {
        await connectionSignatures.sign(connection.id, connection)
        signed++
      }
    }
  }
}

async function reencryptLegacyGrants(store: Store, vault: Vault): Promise<void> {
  for await (const old of listLegacyGrants(store)) {
    const tokens = tryDecrypt(() => decryptTokens(vault, old))
    if (tokens !== undefined) {
      const fresh = encryptTokens(vault, old.id, tokens)
      await store.encryptedTokens.replace([{ id: old.id, old, fresh }], false)
    }
  }
}

async function* listLegacyGrants({ encryptedTokens }: Store): AsyncGenerator<EncryptedTokensRow> {
  for (let after = ''; ;) {
    const batch = await encryptedTokens.listByPrefix(
      `${LEGACY_ENVELOPE_VERSION}.`,
      after,
      BATCH_SIZE
    )
    const last = batch.at(-1)
    if (last === undefined) return
    after = last.id
    yield* batch
  }
}
