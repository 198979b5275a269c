import { AppError } from '../lib/errors.ts'
import type { Logger } from '../lib/http-client.ts'
import { createTurnBudget } from '../lib/event-loop-turns.ts'
import { computeRefreshLeadMs, decideToken, type TokenRequirements } from './token-decision.ts'
import { decryptOrMark } from './decrypt.ts'
import { createTokenRefresher, type RefreshSettings } from './refresh.ts'
import { decryptAccessToken } from './encrypt.ts'

/**
 * How long a decrypted token is cached: well below the ten minutes that a replaced token still
 * works, and below the ten seconds after which an erased one must not be used.
 */
const CACHE_TTL_MS = 5_000
const MAX_CACHED_TOKENS = 10_000
/** How long reading and decrypting tokens holds the event loop if thousands are asked for at once. */
const MAX_READING_MS = 4
const DEFAULT_MIN_VALIDITY_MS = 60_000

export interface TokenRequest extends Partial<TokenRequirements> {
  log: Logger
}

interface CachedToken {
  token: string
  usableUntil: number
  cachedAt: number
}

/** The only source of access tokens. */
export function createTokenProvider(settings: RefreshSettings) {
  const { store, now } = settings
  const waitToRead = createTurnBudget(MAX_READING_MS)
  const { refreshGrant, drain } = createTokenRefresher(settings, waitToRead)
  const pendingRefreshes = new Map<string, Promise<string>>()
  const cache = new Map<string, CachedToken>()

  /**
   * Returns a token that is valid for at least `minValidityMs` (default: one minute), refreshing
   * it when it is about to expire. Callers in one process share a refresh; processes coordinate
   * through the database.
   *
   * @throws AppError `not_connected`, `needs_reconnect`, `oauth_misconfigured`, or an
   *   `upstream_…` code with the time of the next attempt
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
    await waitToRead()
    const grant = await store.grants.get(grantId)
    if (grant === undefined) {
      throw new AppError('not_connected', 'This connection no longer exists.')
    }
    const decision = decideToken(
      grant,
      await decryptOrMark(settings, grant, log, decryptAccessToken),
      requirements,
      now()
    )
    if (decision.kind !== 'use') return await deduplicateRefresh(grantId, requirements, log)
    // Not cached until it expires: shortly before, the grant must be read again.
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
      // The shared result may not meet this caller's requirements, or may be the token this
      // caller has just seen rejected.
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

    /** Drops a token that must not be used again. */
    invalidate(grantId: string): void {
      cache.delete(grantId)
    },

    /** Drops expired entries, so that plain tokens do not stay in memory. */
    evictExpired(): void {
      for (const [id, { cachedAt }] of cache) if (!isFresh(cachedAt)) cache.delete(id)
    },

    drain
  }
}

export type TokenProvider = ReturnType<typeof createTokenProvider>
