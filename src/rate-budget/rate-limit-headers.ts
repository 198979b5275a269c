import type { HttpResponse } from '../lib/http-client.ts'
import { parseRetryHints, parseRetryAfterMs } from '../lib/retry-after.ts'

/** What a refusal covers: the whole app, the app at one site, or one endpoint of that site. */
export type LimitScope = 'app' | 'site' | 'endpoint'

/** What a refusal demands. `waitMs` is undefined if it names no time. */
export interface RateLimitRefusal {
  scope: LimitScope
  waitMs: number | undefined
  reason: string
}

/** Upper limit for a demanded wait. */
const MAX_RETRY_AFTER_MS = 24 * 3_600_000

/**
 * Parses a 429, or a 503 with Retry-After (docs/reference/atlassian.md#10-rate-limits). A quota
 * refusal blocks the app or the tenant until its reset time, which takes precedence over
 * `Retry-After`; a burst refusal covers one endpoint; a refusal without a reason counts as a
 * quota. The body is unspecified and ignored.
 *
 * @param now milliseconds since the epoch
 * @returns undefined for any other response
 */
export function parseRateLimit(
  { status, headers }: HttpResponse,
  now: number
): RateLimitRefusal | undefined {
  const { afterMs, resetMs } = parseRetryHints(headers, now)
  if (status !== 429 && !(status === 503 && afterMs !== undefined)) return undefined
  const reason = String(headers['ratelimit-reason'] ?? (status === 503 ? 'unavailable' : 'unknown'))
  const requestedMs =
    /quota/.test(reason) && resetMs !== undefined ? resetMs : parseRetryAfterMs(headers, now)
  return {
    scope: toLimitScope(reason),
    reason,
    waitMs:
      requestedMs === undefined ? undefined : Math.min(Math.max(0, requestedMs), MAX_RETRY_AFTER_MS)
  }
}

function toLimitScope(reason: string): LimitScope {
  if (/quota-global/.test(reason)) return 'app'
  return /burst|per-issue|cost|concurrent/.test(reason) ? 'endpoint' : 'site'
}

/**
 * Points left in this hour, if the response says so. The header's seconds were observed to be
 * wrong and are ignored.
 */
export function parseRemainingPoints({ headers }: HttpResponse): number | undefined {
  const [, remaining] = /"tenant-app-quota";\s*r=(\d+)/.exec(String(headers.ratelimit ?? '')) ?? []
  return remaining === undefined ? undefined : Number(remaining)
}

/** One point for the call and one for each core object in its response. */
export function estimateCost({ status, body }: HttpResponse): number {
  if (status === 429) return 0
  const lists =
    typeof body === 'object' && body !== null
      ? ['values', 'results', 'issues'].map((name) => (body as Record<string, unknown>)[name])
      : []
  return 1 + lists.reduce<number>((sum, list) => sum + (Array.isArray(list) ? list.length : 0), 0)
}
