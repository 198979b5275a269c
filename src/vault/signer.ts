import { createHmac, hkdfSync } from 'node:crypto'
import { isSameHash } from '../lib/secret.ts'
import { parseSigningKeyId, type Signer, type SigningPurpose } from '../model/signer.ts'
import type { Keyring } from './keyring.ts'

const KEY_BYTES = 32
/** Separates signing keys from whatever else may be derived from a vault key (RFC 5869, info). */
const KEY_PURPOSE = 'connector/signing-key/v1'

/** Derives a signing key from a vault key (HKDF-SHA256, RFC 5869). */
export function deriveSigningKey(vaultKey: Buffer): Buffer {
  return Buffer.from(hkdfSync('sha256', vaultKey, '', KEY_PURPOSE, KEY_BYTES))
}

/**
 * Creates a signer: the current vault key signs, every key of the keyring verifies.
 *
 * @param retiredKeys signing keys of vault keys that the keyring no longer has, by key id
 */
export function createSigner(
  keyring: Keyring,
  retiredKeys: ReadonlyMap<string, Buffer> = new Map()
): Signer {
  const keys = new Map(retiredKeys)
  for (const id of keyring.ids) keys.set(id, deriveSigningKey(keyring.find(id) as Buffer))
  const currentKey = keys.get(keyring.current.id) as Buffer

  const computeMac = (key: Buffer, purpose: SigningPurpose, text: string) =>
    createHmac('sha256', key).update(`${purpose}\n${text}`).digest('base64url')

  return {
    keyId: keyring.current.id,
    hasKey: (keyId) => keys.has(keyId),
    sign: (purpose, text) => `${keyring.current.id}.${computeMac(currentKey, purpose, text)}`,
    isValid(purpose, text, signature) {
      const keyId = parseSigningKeyId(signature)
      const key = keyId === undefined ? undefined : keys.get(keyId)
      return (
        key !== undefined && isSameHash(`${keyId}.${computeMac(key, purpose, text)}`, signature)
      )
    }
  }
}
