import { randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { hashSecret, randomToken } from '../lib/secret.ts'

/** Prefixes of this service's secrets, by which people and secret scanners recognise them. */
export const KEY = 'jcck'
export const SESSION = 'cs'
/** `ck`: service keys of earlier versions, and those of BOOTSTRAP_API_KEY that an operator makes. */
const SECRET_PATTERN = /^(ck|cs|jcck)_[A-Za-z0-9_-]{8,}$/
const DISPLAY_PREFIX_LENGTH = 10

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
/** 43 characters of 62 are 256 bits. */
const KEY_LENGTH = 43
/** Six characters hold 32 bits. */
const CHECKSUM_LENGTH = 6

/** Creates a secret of 256 bits. It is shown once and stored as its hash. */
export function createSecret(kind: typeof KEY | typeof SESSION): string {
  if (kind === SESSION) return `${SESSION}_${randomToken()}`
  const random = Array.from({ length: KEY_LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)])
  const key = `${KEY}_${random.join('')}`
  return key + computeChecksum(key)
}

/**
 * Whether a key ends in its checksum; keys of earlier versions have none. Scanners tell real keys from
 * similar text by it, and a mistyped key costs no query.
 */
export function isIntactKey(key: string): boolean {
  return (
    !key.startsWith(`${KEY}_`) ||
    computeChecksum(key.slice(0, -CHECKSUM_LENGTH)) === key.slice(-CHECKSUM_LENGTH)
  )
}

/** CRC-32 in base 62, most significant digit first. */
function computeChecksum(text: string): string {
  let rest = crc32(text)
  let digits = ''
  for (let i = 0; i < CHECKSUM_LENGTH; i++) {
    digits = (ALPHABET[rest % ALPHABET.length] ?? '') + digits
    rest = Math.floor(rest / ALPHABET.length)
  }
  return digits
}

/**
 * Derives the secret in a connect session's link from the session's token. Browsers and proxies store
 * URLs: the secret of a link that has been opened is useless, and does not reveal the token.
 */
export function linkSecret(token: string): string {
  return `${SESSION}_${hashSecret(`link ${token}`)}`
}

/** The start of a key, which identifies it in lists. */
export function displayPrefix(secret: string): string {
  return secret.slice(0, DISPLAY_PREFIX_LENGTH)
}

/** The kind of secret that a credential is; undefined for any other credential. */
export function credentialKind(credential: string): 'key' | 'session' | undefined {
  const prefix = SECRET_PATTERN.exec(credential)?.[1]
  return prefix === undefined ? undefined : prefix === SESSION ? 'session' : 'key'
}
