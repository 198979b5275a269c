import { createHash, randomBytes } from 'node:crypto'

/** How secrets of this service begin, so that people and scanners know them. */
export const KEY = 'ck'
export const SESSION = 'cs'
const SECRET = /^(ck|cs)_[A-Za-z0-9_-]{8,}$/
const SHOWN = 10

/** A new secret of 256 bits. It is shown once and kept as its hash. */
export function newSecret(kind: typeof KEY | typeof SESSION): string {
  return `${kind}_${randomBytes(32).toString('base64url')}`
}

/** What is stored of it. A secret of 256 bits needs no slow hash; and looked up by its hash it is compared with nothing, so nothing is told by time. */
export function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url')
}

/**
 * The secret that a connect session's link carries instead of its token. Addresses are kept by browsers and written down by proxies:
 * who finds one that has been opened can do nothing with it, and does not know the token.
 */
export function linkOf(token: string): string {
  return `${SESSION}_${hashOf(`link ${token}`)}`
}

/** The part that a person recognises a key by. */
export function prefixOf(secret: string): string {
  return secret.slice(0, SHOWN)
}

/** Which kind of secret a credential is; undefined for one that is none of ours. */
export function kindOf(credential: string): typeof KEY | typeof SESSION | undefined {
  return SECRET.exec(credential)?.[1] as typeof KEY | typeof SESSION | undefined
}
