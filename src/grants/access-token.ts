import { AppError } from '../lib/errors.ts'
import type { Logger } from '../lib/http-client.ts'
import { computeRefreshLeadMs, decideToken, type TokenRequirements } from './token-decision.ts'
import { decryptOrMark } from './decrypt.ts'
import { createTokenRefresher, type RefreshSettings } from './refresh.ts'
import { decryptAccessToken } from './encrypt.ts'

/** What an opened token is remembered for: well inside the ten minutes that a replaced one works, and inside the ten seconds after which an erased one must not be used. */
const CACHE_TTL_MS = 5_000
const MAX_CACHED_TOKENS = 10_000
const DEFAULT_MIN_VALIDITY_MS = 60_000

export interface TokenRequest extends Partial<TokenRequirements> {
  log: Logger
}

interface CachedToken {
  token: string
  usableUntil: number
  cachedAt: number
}

/** The only way to a token. */
export function createTokenProvider(settings: RefreshSettings) {
  const { store, now } = settings
  const { refreshGrant, drain } = createTokenRefresher(settings)
  const pendingRefreshes = new Map<string, Promise<string>>()
  const cache = new Map<string, CachedToken>()

  /**
   * A token that is valid for at least `minValidity` milliseconds (default: a minute), refreshed when its end is near.
   * Callers in one process share a refresh; processes share it through the database.
   *
   * @throws AppError `not_connected`, `needs_reconnect`, `oauth_misconfigured`, or an `upstream_…` code with the time of the next try
   */
  async function getAccessToken(
    grantId: string,
    { minValidityMs = DEFAULT_MIN_VALIDITY_MS, rejectedToken, log }: TokenRequest
  ): Promise<string> {
    const cached = cache.get(grantId)
    if (
      cached !== undefined &&
      cached.token !== rejectedToken &&
      isFresh(cached.cachedAt) &&
      cached.usableUntil - now() >= minValidityMs
    ) {
      return cached.token
    }
    const requirements = { minValidityMs, rejectedToken }
    const grant = await store.grants.get(grantId)
    if (grant === undefined) throw new AppError('not_connected', 'This connection is gone.')
    const decision = decideToken(
      grant,
      await decryptOrMark(settings, grant, log, decryptAccessToken),
      requirements,
      now()
    )
    if (decision.kind !== 'use') return await deduplicateRefresh(grantId, requirements, log)
    // Not remembered up to its end: when that is near, the grant is to be looked at again.
    cacheToken(grantId, {
      token: decision.token,
      usableUntil: grant.accessExpiresAt.getTime() - computeRefreshLeadMs(grant),
      cachedAt: now()
    })
    return decision.token
  }

  async function deduplicateRefresh(
    grantId: string,
    requirements: TokenRequirements,
    log: Logger
  ): Promise<string> {
    const pendingRefresh = pendingRefreshes.get(grantId)
    if (pendingRefresh !== undefined) {
      await pendingRefresh
      // What the others waited for may not be good enough, or be the very token that this caller has just seen refused.
      return await getAccessToken(grantId, { ...requirements, log })
    }
    const ownRefresh = refreshGrant(grantId, requirements, log).finally(() => {
      pendingRefreshes.delete(grantId)
    })
    pendingRefreshes.set(grantId, ownRefresh)
    cache.delete(grantId)
    return await ownRefresh
  }

  function isFresh(cachedAt: number): boolean {
    const age = now() - cachedAt
    return age >= 0 && age < CACHE_TTL_MS
  }

  function cacheToken(grantId: string, entry: CachedToken): void {
    if (cache.size >= MAX_CACHED_TOKENS) cache.clear()
    cache.set(grantId, entry)
  }

  return {
    getAccessToken,

    /** Forgets a token that must not be used again. */
    invalidate(grantId: string): void {
      cache.delete(grantId)
    },

    /** Drops what is remembered longer than it is used: clear tokens have no business in memory. */
    evictExpired(): void {
      for (const [id, { cachedAt }] of cache) if (!isFresh(cachedAt)) cache.delete(id)
    },

    drain
  }
}

export type TokenProvider = ReturnType<typeof createTokenProvider>
