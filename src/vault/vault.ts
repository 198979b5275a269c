import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Keyring } from './keyring.ts'

const FORMAT = 'v1'
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** Thrown for every ciphertext that does not open, whatever the cause: the cause is none of an attacker's business. */
export class UnreadableError extends Error {
  override readonly name = 'UnreadableError'
}

/** Where secrets are kept between uses. A KMS stands behind the keyring, which is opened once, before the first request. */
export interface Vault {
  /** @param place where the ciphertext will live, `<table>/<row id>/<column>`: moved anywhere else it does not open */
  seal: (secret: string, place: string) => string
  /** @throws UnreadableError wrong key, wrong place, or a changed byte */
  open: (sealed: string, place: string) => string
}

/**
 * AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D). The envelope is `v1.<key id>.<base64url of nonce, ciphertext
 * and tag>`; format, key id and place are associated data. The tag length is given on both sides, because Node would
 * otherwise accept tags cut to 4 bytes.
 */
export function createVault (keyring: Keyring): Vault {
  return {
    seal (secret, place) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', keyring.current.key, nonce, { authTagLength: TAG_BYTES })
      cipher.setAAD(associated(keyring.current.id, place))
      const sealed = Buffer.concat([nonce, cipher.update(secret, 'utf8'), cipher.final(), cipher.getAuthTag()])
      return `${FORMAT}.${keyring.current.id}.${sealed.toString('base64url')}`
    },

    open (sealed, place) {
      try {
        const [format, keyId = '', body = '', ...rest] = sealed.split('.')
        const key = keyring.find(keyId)
        const bytes = Buffer.from(body, 'base64url')
        if (format !== FORMAT || key === undefined || rest.length > 0 || bytes.length < NONCE_BYTES + TAG_BYTES || bytes.toString('base64url') !== body) {
          throw new UnreadableError('Not an envelope of this vault')
        }
        const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
        decipher.setAAD(associated(keyId, place))
        decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
        return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]).toString('utf8')
      } catch {
        throw new UnreadableError('A stored secret does not open with the keys at hand')
      }
    }
  }
}

function associated (keyId: string, place: string): Buffer {
  return Buffer.from(`${FORMAT}|${keyId}|${place}`, 'utf8')
}
