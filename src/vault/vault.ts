import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { AppError } from '../lib/errors.ts'
import type { Keyring } from './keyring.ts'

const ENVELOPE_VERSION = 'v2'
/** Written by versions that did not sign connections (src/grants/sign-existing-rows.ts). */
export const LEGACY_ENVELOPE_VERSION = 'v1'
const NONCE_BYTES = 12
const TAG_BYTES = 16
/**
 * Random nonces are safe up to 2^32 uses of a key (NIST SP 800-38D section 8.3); this is a
 * quarter of it.
 */
export const MAX_KEY_USES = 2 ** 30
/** Uses kept back, so that operations that have started can still encrypt their result. */
const RESERVED_USES = 10_000
/** Uses that are counted in the database at once, before they happen: one write for many uses. */
const USES_PER_COUNT = 256
/** Counted uses that must be left before an operation starts; several operations run at a time. */
const MIN_COUNTED_USES = 64

/**
 * Thrown for every ciphertext that cannot be decrypted. It does not say why, so that it helps no
 * attacker.
 */
export class DecryptionError extends Error {
  override readonly name = 'DecryptionError'
  /** The key that the ciphertext names, if this vault does not have it. */
  readonly missingKeyId: string | undefined

  constructor(missingKeyId?: string) {
    super('A stored secret cannot be decrypted with the configured keys')
    this.missingKeyId = missingKeyId
  }
}

/** Returns undefined for what cannot be decrypted; any other error is thrown. */
export function tryDecrypt<T>(decrypt: () => T): T | undefined {
  try {
    return decrypt()
  } catch (error) {
    if (error instanceof DecryptionError) return undefined
    throw error
  }
}

/** Encrypts and decrypts secrets at rest. */
export interface Vault {
  /** The id of the key that encrypts, also if this vault lacks it. */
  readonly keyId: string
  /**
   * @param place where the ciphertext will be stored, `<table>/<row id>/<column>`; it cannot be
   *   decrypted anywhere else
   * @throws AppError `vault_key_missing`, or `vault_key_exhausted` some thousand uses after
   *   `prepareToEncrypt` first throws
   */
  encrypt: (secret: string, place: string) => string
  /** @throws DecryptionError for a wrong key, a wrong place, or a changed byte */
  decrypt: (envelope: string, place: string) => string
  /**
   * Call it before anything irreversible whose result must be encrypted. Counts the uses in the
   * database before they happen, so that a crash loses none.
   *
   * @param uses how often the operation encrypts, if more often than a grant has secrets
   * @throws AppError `vault_key_missing`, or `vault_key_exhausted` by the count of all processes
   */
  prepareToEncrypt: (uses?: number) => Promise<void>
  /** Takes back counted uses that have not happened. Call it when nothing encrypts any more. */
  settleUses: () => Promise<void>
  /** How often the current key has encrypted in this process. */
  getUseCount: () => number
}

/**
 * Creates the vault: AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D). The envelope is
 * `v2.<key id>.<base64url of nonce, ciphertext and tag>`; format, key id and place are
 * additional authenticated data. It also decrypts the format `v1`, which differs only in its name.
 * The tag length is set on both sides, because Node would otherwise accept tags cut to 4 bytes.
 *
 * @param getInitialUses returns the uses of a key before this process used it
 * @param countUses adds uses of a key to the count that all processes share, and returns the sum
 * @param confirmCurrentKey asks the database which key encrypts, if that was long ago
 */
export function createVault(
  keyring: Keyring,
  {
    getInitialUses = () => 0,
    countUses,
    confirmCurrentKey = async () => {}
  }: {
    getInitialUses?: (keyId: string) => number
    countUses?: (keyId: string, uses: number) => Promise<number>
    confirmCurrentKey?: () => Promise<void>
  } = {}
): Vault {
  const counters = new Map<string, UseCounter>()
  const getCounter = (keyId: string): UseCounter => {
    const counter = counters.get(keyId) ?? createUseCounter(keyId, getInitialUses, countUses)
    counters.set(keyId, counter)
    return counter
  }

  return {
    get keyId() {
      return keyring.currentId
    },

    getUseCount: () => getCounter(keyring.currentId).getUses(),

    async prepareToEncrypt(needed = MIN_COUNTED_USES) {
      await confirmCurrentKey()
      const counter = getCounter(keyring.current.id)
      await counter.countAhead(needed)
      if (counter.getTotal() >= MAX_KEY_USES) throw createKeyExhaustedError()
    },

    async settleUses() {
      for (const counter of counters.values()) await counter.settle()
    },

    encrypt(secret, place) {
      const { id, key } = keyring.current
      const counter = getCounter(id)
      if (counter.getTotal() >= MAX_KEY_USES + RESERVED_USES) throw createKeyExhaustedError()
      counter.use()
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, nonce, {
        authTagLength: TAG_BYTES
      })
      cipher.setAAD(buildAad(ENVELOPE_VERSION, id, place))
      const ciphertext = Buffer.concat([
        nonce,
        cipher.update(secret, 'utf8'),
        cipher.final(),
        cipher.getAuthTag()
      ])
      return `${ENVELOPE_VERSION}.${id}.${ciphertext.toString('base64url')}`
    },

    decrypt(envelope, place) {
      const [format, keyId = '', body = '', ...rest] = envelope.split('.')
      const bytes = Buffer.from(body, 'base64url')
      if (
        (format !== ENVELOPE_VERSION && format !== LEGACY_ENVELOPE_VERSION) ||
        rest.length > 0 ||
        bytes.length < NONCE_BYTES + TAG_BYTES ||
        bytes.toString('base64url') !== body
      ) {
        throw new DecryptionError()
      }
      const key = keyring.find(keyId)
      if (key === undefined) throw new DecryptionError(keyId)
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), {
          authTagLength: TAG_BYTES
        })
        decipher.setAAD(buildAad(format, keyId, place))
        decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
        return Buffer.concat([
          decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)),
          decipher.final()
        ]).toString('utf8')
      } catch {
        throw new DecryptionError()
      }
    }
  }
}

interface UseCounter {
  use: () => void
  /** Uses of the key in this process. */
  getUses: () => number
  /** Uses of the key by all processes, as far as this one knows. */
  getTotal: () => number
  /** Counts uses before they happen, until `needed` are left. */
  countAhead: (needed: number) => Promise<void>
  /** Takes back counted uses that have not happened. */
  settle: () => Promise<void>
}

function createUseCounter(
  keyId: string,
  getInitialUses: (keyId: string) => number,
  countUses?: (keyId: string, uses: number) => Promise<number>
): UseCounter {
  let uses = 0
  let countedUses = 0
  let otherUses = getInitialUses(keyId)
  let counting: Promise<void> | undefined

  async function count(more: number): Promise<void> {
    const total = await countUses?.(keyId, more)
    countedUses += more
    if (total !== undefined) otherUses = total - countedUses
  }

  return {
    use() {
      uses++
    },
    getUses: () => uses,
    getTotal: () => otherUses + uses,
    async countAhead(needed) {
      while (countedUses - uses < needed) {
        counting ??= count(uses - countedUses + needed + USES_PER_COUNT).finally(() => {
          counting = undefined
        })
        await counting
      }
    },
    async settle() {
      await counting
      if (uses !== countedUses) await count(uses - countedUses)
    }
  }
}

/** Whether an envelope claims the legacy format; decrypting it proves the claim. */
export function isLegacyEnvelope(envelope: string): boolean {
  return envelope.startsWith(`${LEGACY_ENVELOPE_VERSION}.`)
}

/** The key id that an envelope names. */
export function parseKeyId(envelope: string): string {
  return envelope.split('.')[1] ?? ''
}

function createKeyExhaustedError(): AppError {
  return new AppError(
    'vault_key_exhausted',
    'The vault key has reached its limit of encryptions. The operator must add a new one.'
  )
}

function buildAad(format: string, keyId: string, place: string): Buffer {
  return Buffer.from(`${format}|${keyId}|${place}`, 'utf8')
}
