import type { HttpResponse } from '../lib/http-client.ts'
import { parseRetryHints } from '../lib/retry-after.ts'
import {
  MAX_RETRY_AFTER_MS,
  parsePolicies,
  toPolicyScope,
  type LimitScope,
  type RateLimitPolicy
} from './policies.ts'

/** What a refusal demands. */
export interface RateLimitRefusal {
  scope: LimitScope
  /** Undefined if the response names no time. */
  waitMs: number | undefined
  /** A shorter wait that may be tried once, for the first of several refusals. */
  firstWaitMs?: number
  reason: string
}

const HOUR_MS = 3_600_000
/** Policies of the widest reach come first. */
const SCOPES: readonly LimitScope[] = ['app', 'site', 'account', 'endpoint']

/**
 * Parses a 429, or a 503 with Retry-After (docs/reference/atlassian.md#103-headers). The body is
 * unspecified and ignored.
 *
 * @param now milliseconds since the epoch
 * @returns undefined for any other response
 */
export function parseRefusal(
  { status, headers }: HttpResponse,
  now: number
): RateLimitRefusal | undefined {
  const { afterMs, resetMs } = parseRetryHints(headers, now)
  if (status !== 429 && !(status === 503 && afterMs !== undefined)) return undefined
  const statedReason = String(headers['ratelimit-reason'] ?? '')
  const policies = parsePolicies(headers)
  if (statedReason === '' && status === 503) {
    return { scope: 'site', reason: 'unavailable', waitMs: limit(longest(afterMs, resetMs)) }
  }
  if (statedReason === '') {
    const policy = findRefusingPolicy(policies)
    return {
      scope: policy?.scope ?? 'app',
      reason: policy?.name ?? 'unknown',
      // The headers other than RateLimit come first: `t` counts where nothing else says how long.
      waitMs: limit(longest(afterMs, resetMs) ?? policy?.resetMs)
    }
  }
  const scope = toPolicyScope(statedReason)
  const policyResetMs = policies.find((policy) => policy.scope === scope)?.resetMs
  const base = { scope, reason: statedReason }
  if (!isQuotaReason(statedReason)) {
    return { ...base, waitMs: limit(longest(afterMs, resetMs) ?? policyResetMs) }
  }
  // `Retry-After` of a quota was seen both too long and shorter than the reset.
  const waitMs = Math.min(resetMs ?? Infinity, policyResetMs ?? Infinity, HOUR_MS - (now % HOUR_MS))
  return {
    ...base,
    waitMs: limit(waitMs),
    ...(afterMs !== undefined && afterMs < waitMs ? { firstWaitMs: Math.max(0, afterMs) } : {})
  }
}

/** Every reason that is neither short-lived nor unknown. */
function isQuotaReason(reason: string): boolean {
  return !/per-issue|burst|concurrent/i.test(reason) && /quota|global|tenant|cost/i.test(reason)
}

/** The used-up policy with the widest reach; a policy that states what is left did not refuse. */
function findRefusingPolicy(policies: readonly RateLimitPolicy[]): RateLimitPolicy | undefined {
  const byReach = policies
    .filter(({ remaining }) => remaining === undefined || remaining === 0)
    .sort((a, b) => SCOPES.indexOf(a.scope) - SCOPES.indexOf(b.scope))
  return byReach.find(({ remaining }) => remaining === 0) ?? byReach[0]
}

function longest(...waits: Array<number | undefined>): number | undefined {
  const known = waits.filter((wait) => wait !== undefined)
  return known.length === 0 ? undefined : Math.max(...known)
}

function limit(waitMs: number | undefined): number | undefined {
  return waitMs === undefined ? undefined : Math.min(Math.max(0, waitMs), MAX_RETRY_AFTER_MS)
}
