import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { AppError } from '../lib/errors.ts'
import type { Keyring } from './keyring.ts'

const ENVELOPE_VERSION = 'v1'
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** Random nonces are safe for a key up to 2^32 uses (NIST SP 800-38D section 8.3); a quarter of that is enough for anybody. */
export const MAX_KEY_USES = 2 ** 30
/** Whoever has begun something that ends in sealing can still end it. */
const RESERVED_USES = 10_000

/** Thrown for every ciphertext that does not open, whatever the cause: the cause is none of an attacker's business. */
export class DecryptionError extends Error {
  override readonly name = 'DecryptionError'
}

/** Where secrets are kept between uses. A KMS stands behind the keyring, which is opened once, before the first request. */
export interface Vault {
  /** The key that writes. */
  readonly keyId: string
  /**
   * @param place where the ciphertext will live, `<table>/<row id>/<column>`: moved anywhere else it does not open
   * @throws AppError `vault_key_exhausted`, some thousand uses after `requireWriting` has begun to
   */
  encrypt: (secret: string, place: string) => string
  /** @throws UnreadableError wrong key, wrong place, or a changed byte */
  decrypt: (sealed: string, place: string) => string
  /**
   * To be asked before what cannot be undone and has to be sealed.
   *
   * @throws AppError `vault_key_exhausted`
   */
  assertCanEncrypt: () => void
  /** How often the key has sealed in this process. */
  getUseCount: () => number
}

/**
 * AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D). The envelope is `v1.<key id>.<base64url of nonce, ciphertext
 * and tag>`; format, key id and place are associated data. The tag length is given on both sides, because Node would
 * otherwise accept tags cut to 4 bytes.
 *
 * @param initialUses how often the writing key had been used when the process started
 */
export function createVault(keyring: Keyring, initialUses = 0): Vault {
  let uses = 0
  return {
    keyId: keyring.current.id,

    getUseCount: () => uses,

    assertCanEncrypt() {
      if (initialUses + uses >= MAX_KEY_USES) throw keyExhaustedError()
    },

    encrypt(secret, aad) {
      if (initialUses + uses >= MAX_KEY_USES + RESERVED_USES) throw keyExhaustedError()
      uses++
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', keyring.current.key, nonce, {
        authTagLength: TAG_BYTES
      })
      cipher.setAAD(buildAad(keyring.current.id, aad))
      const ciphertext = Buffer.concat([
        nonce,
        cipher.update(secret, 'utf8'),
        cipher.final(),
        cipher.getAuthTag()
      ])
      return `${ENVELOPE_VERSION}.${keyring.current.id}.${ciphertext.toString('base64url')}`
    },

    decrypt(envelope, aad) {
      try {
        const [format, keyId = '', body = '', ...rest] = envelope.split('.')
        const key = keyring.find(keyId)
        const bytes = Buffer.from(body, 'base64url')
        if (
          format !== ENVELOPE_VERSION ||
          key === undefined ||
          rest.length > 0 ||
          bytes.length < NONCE_BYTES + TAG_BYTES ||
          bytes.toString('base64url') !== body
        ) {
          throw new DecryptionError('Not an envelope of this vault')
        }
        const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), {
          authTagLength: TAG_BYTES
        })
        decipher.setAAD(buildAad(keyId, aad))
        decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
        return Buffer.concat([
          decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)),
          decipher.final()
        ]).toString('utf8')
      } catch {
        throw new DecryptionError('A stored secret does not open with the keys at hand')
      }
    }
  }
}

/** The key that an envelope names. */
export function parseKeyId(envelope: string): string {
  return envelope.split('.')[1] ?? ''
}

function keyExhaustedError(): AppError {
  return new AppError(
    'vault_key_exhausted',
    'The vault key has been used too often. The operator has to put a new one in front of it.'
  )
}

function buildAad(keyId: string, aad: string): Buffer {
  return Buffer.from(`${ENVELOPE_VERSION}|${keyId}|${aad}`, 'utf8')
}
