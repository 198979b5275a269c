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
  const signingKeys = new WeakMap<Buffer, Buffer>()

  function findKey(id: string): Buffer | undefined {
    const vaultKey = keyring.find(id)
    if (vaultKey === undefined) return retiredKeys.get(id)
    const signingKey = signingKeys.get(vaultKey) ?? deriveSigningKey(vaultKey)
    signingKeys.set(vaultKey, signingKey)
    return signingKey
  }

  const computeMac = (key: Buffer, purpose: SigningPurpose, text: string) =>
    createHmac('sha256', key).update(`${purpose}\n${text}`).digest('base64url')

  return {
    get keyId() {
      return keyring.currentId
    },
    hasKey: (keyId) => findKey(keyId) !== undefined,
    sign(purpose, text) {
      const { id } = keyring.current
      return `${id}.${computeMac(findKey(id) as Buffer, purpose, text)}`
    },
    isValid(purpose, text, signature) {
      const keyId = parseSigningKeyId(signature)
      const key = keyId === undefined ? undefined : findKey(keyId)
      return (
        key !== undefined && isSameHash(`${keyId}.${computeMac(key, purpose, text)}`, signature)
      )
    }
  }
}
