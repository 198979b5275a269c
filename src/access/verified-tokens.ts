import { hashSecret } from '../lib/secret.ts'

/** A thousand take about 1 MB. Only whoever holds valid tokens can fill it. */
export const MAX_VERIFIED_TOKENS = 2_000

interface CachedToken<T> {
  verified: T
  /** In ms since the epoch. */
  verifiedAt: number
}

/**
 * Remembers tokens that were verified, by their hash: a caller sends the same token with each request,
 * and checking a signature takes longer than most answers. A remembered token is accepted until it
 * expires, and only with the keys that verified it.
 *
 * @param getKeys the keys that verify tokens at the moment; undefined: they have to be downloaded
 * @returns a function that verifies a token with `verify` unless it is remembered
 */
export function createVerifiedTokens<T extends { expiresAt: number }>(
  getKeys: () => object | undefined
) {
  const tokens = new Map<string, CachedToken<T>>()
  let tokenKeys: object | undefined

  return async (token: string, verify: (token: string) => Promise<T>): Promise<T> => {
    const keys = getKeys()
    if (keys !== tokenKeys) tokens.clear()
    tokenKeys = keys
    const hash = hashSecret(token)
    const time = Date.now()
    const cached = tokens.get(hash)
    // After the clock was set back, a token may not be valid yet.
    if (cached !== undefined && cached.verifiedAt <= time && time < cached.verified.expiresAt) {
      return cached.verified
    }
    tokens.delete(hash)
    const verified = await verify(token)
    // While it was verified, a later token may have come with other keys.
    if (keys !== undefined && keys === tokenKeys) {
      if (tokens.size >= MAX_VERIFIED_TOKENS) tokens.delete(tokens.keys().next().value ?? '')
      tokens.set(hash, { verified, verifiedAt: time })
    }
    return verified
  }
}
