import { createHash, randomBytes } from 'node:crypto'

/** How secrets of this service begin, so that people and scanners know them. */
export const KEY = 'ck'
export const SESSION = 'cs'
const SECRET_PATTERN = /^(ck|cs)_[A-Za-z0-9_-]{8,}$/
const DISPLAY_PREFIX_LENGTH = 10

/** A new secret of 256 bits. It is shown once and kept as its hash. */
export function createSecret(kind: typeof KEY | typeof SESSION): string {
  return `${kind}_${randomBytes(32).toString('base64url')}`
}

/** What is stored of it. A secret of 256 bits needs no slow hash; and looked up by its hash it is compared with nothing, so nothing is told by time. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url')
}

/**
 * The secret that a connect session's link carries instead of its token. Addresses are kept by browsers and written down by proxies:
 * who finds one that has been opened can do nothing with it, and does not know the token.
 */
export function linkSecret(token: string): string {
  return `${SESSION}_${hashSecret(`link ${token}`)}`
}

/** The part that a person recognises a key by. */
export function displayPrefix(secret: string): string {
  return secret.slice(0, DISPLAY_PREFIX_LENGTH)
}

/** Which kind of secret a credential is; undefined for one that is none of ours. */
export function credentialKind(credential: string): typeof KEY | typeof SESSION | undefined {
  return SECRET_PATTERN.exec(credential)?.[1] as typeof KEY | typeof SESSION | undefined
}
