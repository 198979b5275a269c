import type { HttpResponse } from '../lib/http-client.ts'
import { parseRetryHints, parseRetryAfterMs } from '../lib/retry-after.ts'

/** What a refusal is about: everything of the app, the app at one site, or one endpoint of that site. */
export type LimitScope = 'app' | 'site' | 'endpoint'

/** What a refusal asks for. `waitMs` is undefined where it does not say how long. */
export interface RateLimitRefusal {
  scope: LimitScope
  waitMs: number | undefined
  reason: string
}

/** Nobody is believed who asks for more. */
const MAX_RETRY_AFTER_MS = 24 * 3_600_000

/**
 * Reads what a 429, or a 503 that says when to come back, is about
 * (docs/reference/atlassian.md#10-rate-limits): a quota holds the app or the tenant until its reset
 * time, which is to be preferred over `Retry-After`; a burst is about one endpoint; what gives no
 * reason is treated as a quota. The body is not specified and not looked at.
 *
 * @param now milliseconds since the epoch
 * @returns undefined for any other answer
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

/** Points that are left in this hour, where the answer says so. Its seconds were seen wrong and are not read. */
export function parseRemainingPoints({ headers }: HttpResponse): number | undefined {
  const [, remaining] = /"tenant-app-quota";\s*r=(\d+)/.exec(String(headers.ratelimit ?? '')) ?? []
  return remaining === undefined ? undefined : Number(remaining)
}

/** One point for the call and one for each core object in its answer. */
export function estimateCost({ status, body }: HttpResponse): number {
  if (status === 429) return 0
  const lists =
    typeof body === 'object' && body !== null
      ? ['values', 'results', 'issues'].map((name) => (body as Record<string, unknown>)[name])
      : []
  return 1 + lists.reduce<number>((sum, list) => sum + (Array.isArray(list) ? list.length : 0), 0)
}
