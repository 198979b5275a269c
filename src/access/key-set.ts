import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'
import { AppError } from '../lib/errors.ts'
import { assertOk, type HttpClient, type Logger } from '../lib/http-client.ts'

export interface KeySetTools {
  http: HttpClient
  log: Logger
  /** Returns milliseconds of a clock that is never set back. */
  monotonicNow?: () => number
}

const FETCH_TIMEOUT_MS = 5_000
const MAX_AGE_MS = 600_000
/** Tokens with invented key ids cause one download in this time. */
export const COOLDOWN_MS = 10_000
const FAILURE_COOLDOWN_MS = 2_000

/**
 * The published keys of an identity provider, downloaded when a token needs them. A key id is
 * unknown, which is the caller's fault, only if a download that began after the token arrived does
 * not contain it: a provider may replace its keys twice within a few seconds.
 *
 * @returns `findKey` finds a token's key. It throws AppError `identity_provider_unavailable` while it
 *   cannot know whether the key exists, and jose's errors for all others. `getCurrent` returns the
 *   keys while they are in use, another object after each download.
 */
export function createRemoteKeySet(
  url: string,
  { http, log, monotonicNow = () => performance.now() }: KeySetTools
): { findKey: JWTVerifyGetKey; getCurrent: () => object | undefined } {
  let keys: JWTVerifyGetKey | undefined
  /** When the download of `keys` began. */
  let requestedAt = -Infinity
  let nextDownloadAt = -Infinity
  let download: Promise<void> | undefined

  const getCurrent = () => (monotonicNow() - requestedAt < MAX_AGE_MS ? keys : undefined)

  const findKey: JWTVerifyGetKey = async (header, token) => {
    const arrivedAt = monotonicNow()
    while (true) {
      const currentKeys = getCurrent()
      if (currentKeys !== undefined) {
        try {
          return await currentKeys(header, token)
        } catch (error) {
          const isUnknownKey = error instanceof errors.JWKSNoMatchingKey
          if (!isUnknownKey || requestedAt >= arrivedAt) throw error
        }
      }
      await downloadKeys()
    }
  }

  return { findKey, getCurrent }

  /** Joins a running download, or begins one outside the cooldown. */
  async function downloadKeys(): Promise<void> {
    const waitMs = nextDownloadAt - monotonicNow()
    if (download === undefined && waitMs > 0) throw createUnavailableError(waitMs)
    download ??= requestKeys().finally(() => {
      download = undefined
    })
    await download
  }

  async function requestKeys(): Promise<void> {
    const startedAt = monotonicNow()
    nextDownloadAt = startedAt + COOLDOWN_MS
    try {
      const response = await http({
        url,
        // A cache on the way may still have the keys from before a rotation (RFC 9111 section 5.2.1.4).
        headers: { 'cache-control': 'no-cache' },
        log,
        timeoutMs: FETCH_TIMEOUT_MS,
        server: 'The identity provider'
      })
      keys = createLocalJWKSet(assertOk(response, url, log) as JSONWebKeySet)
      requestedAt = startedAt
      log.info({ event: 'identity_provider_keys_loaded' })
    } catch (err) {
      nextDownloadAt = monotonicNow() + FAILURE_COOLDOWN_MS
      log.error(
        { event: 'identity_provider_unavailable', err },
        'The keys at JWT_JWKS_URL cannot be downloaded. Tokens that need them are answered with 503.'
      )
      throw createUnavailableError(FAILURE_COOLDOWN_MS)
    }
  }
}

export function createUnavailableError(waitMs: number, cause?: unknown): AppError {
  return new AppError(
    'identity_provider_unavailable',
    'The key of this token cannot be checked with the identity provider at the moment.',
    { retryAfterS: Math.max(1, Math.ceil(waitMs / 1000)), cause }
  )
}
