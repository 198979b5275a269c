import type { Signer } from '../model/signer.ts'
import type { Store } from '../store/index.ts'
import type { Keyring } from '../vault/keyring.ts'
import { createSigner, deriveSigningKey } from '../vault/signer.ts'
import { parseKeyId, tryDecrypt, type Vault } from '../vault/vault.ts'

/** The additional authenticated data of an archived signing key. */
const buildSigningKeyAad = (id: string) => `vault_keys/${id}/signing_key`

/**
 * Stores each vault key's signing key, encrypted with the current vault key, so that the audit trail
 * can be verified after a key was removed from VAULT_KEYS. Writes only what is missing.
 */
export async function archiveSigningKeys(
  vaultKeys: Store['vaultKeys'],
  keyring: Keyring,
  vault: Vault
): Promise<void> {
  for (const { id, signingKey } of await vaultKeys.list()) {
    if (signingKey !== null && parseKeyId(signingKey) === vault.keyId) continue
    const vaultKey = keyring.find(id)
    const key =
      vaultKey === undefined ? openSigningKey(vault, id, signingKey) : deriveSigningKey(vaultKey)
    if (key === undefined) continue
    await vaultKeys.archiveSigningKey(
      id,
      vault.encrypt(key.toString('base64'), buildSigningKeyAad(id))
    )
  }
  await vault.settleUses()
}

/** Creates a signer that also verifies what removed vault keys signed. */
export async function createAuditSigner(
  vaultKeys: Store['vaultKeys'],
  keyring: Keyring,
  vault: Vault
): Promise<Signer> {
  const retiredKeys = new Map<string, Buffer>()
  for (const { id, signingKey } of await vaultKeys.list()) {
    const key = openSigningKey(vault, id, signingKey)
    if (key !== undefined) retiredKeys.set(id, key)
  }
  return createSigner(keyring, retiredKeys)
}

function openSigningKey(vault: Vault, id: string, signingKey: string | null): Buffer | undefined {
  if (signingKey === null) return undefined
  const text = tryDecrypt(() => vault.decrypt(signingKey, buildSigningKeyAad(id)))
  return text === undefined ? undefined : Buffer.from(text, 'base64')
}
