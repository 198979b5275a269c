import { hashSecret, randomToken } from '../lib/secret.ts'

/** Prefixes of this service's secrets, by which people and secret scanners recognise them. */
export const KEY = 'ck'
export const SESSION = 'cs'
const SECRET_PATTERN = /^(ck|cs)_[A-Za-z0-9_-]{8,}$/
const DISPLAY_PREFIX_LENGTH = 10

/** Creates a secret of 256 bits. It is shown once and stored as its hash. */
export function createSecret(kind: typeof KEY | typeof SESSION): string {
  return `${kind}_${randomToken()}`
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
export function credentialKind(credential: string): typeof KEY | typeof SESSION | undefined {
  return SECRET_PATTERN.exec(credential)?.[1] as typeof KEY | typeof SESSION | undefined
}
