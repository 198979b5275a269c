import { hash, randomBytes, timingSafeEqual } from 'node:crypto'

const SECRET_BYTES = 32

/** 256 random bits as 43 characters of base64url, as RFC 6749 section 10.10 asks for. */
export function randomToken(): string {
  return randomBytes(SECRET_BYTES).toString('base64url')
}

/**
 * The SHA-256 of a secret in base64url: the form that is stored. A random secret of 256 bits needs no
 * slow hash, and a look-up by the hash leaks nothing by its timing.
 */
export function hashSecret(secret: string): string {
  return hash('sha256', secret, 'base64url')
}

/** Compares two hashes in constant time. Secrets themselves are never compared (T30). */
export function isSameHash(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}
