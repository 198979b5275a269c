import type { SandboxResponse } from './answer.ts'
import { createForcedLimits } from '../admin/forced-limits.ts'

export const QUOTA_VARIANTS = ['global', 'tenant', 'gateway', 'beta', 'unavailable'] as const
type QuotaVariant = (typeof QUOTA_VARIANTS)[number]
export const BURST_VARIANTS = ['standard', 'reset-only', 'bare'] as const
type BurstVariant = (typeof BURST_VARIANTS)[number]

const HOUR_MS = 3_600_000
/**
 * A bucket of 350 refills at 100 per second for reads, and at half that rate for PUT and DELETE
 * (docs/reference/atlassian.md#10-rate-limits).
 */
const REFILL_SHARE_PER_SECOND = 100 / 350

interface RateLimitedCall {
  clientId: string
  cloudId: string
  product: string
  /** Method and path pattern. */
  endpoint: string
}

export interface SandboxLimits {
  /**
   * Takes one call from the burst bucket. Returns the rate-limit headers, and an error response
   * if the bucket is empty.
   */
  consumeCall: (call: RateLimitedCall) => {
    headers: Record<string, string>
    refusal?: SandboxResponse
  }
  /** Charges 1 point per call and 1 per object. Call it when the response is known. */
  chargePoints: (clientId: string, objects: number) => void
  /**
   * Rejects all calls, or those to one site, until the next full hour. Without a variant it ends
   * the forced limit.
   */
  exhaustQuota: (variant: QuotaVariant | undefined, cloudId?: string) => void
  /**
   * Rejects all calls, or those to one site, as a burst for `forMs` of sandbox time; 0 ends the
   * forced limit.
   */
  exhaustBurst: (forMs: number, variant: BurstVariant, cloudId?: string) => void
  points: () => Record<string, { used: number; limit: number }>
  clear: () => void
}

export interface SandboxLimitOptions {
  burst: number
  hourlyPoints: number
  now: () => number
}

export function createSandboxLimits({
  burst,
  hourlyPoints,
  now
}: SandboxLimitOptions): SandboxLimits {
  const buckets = new Map<string, { level: number; at: number }>()
  const usageByClient = new Map<string, { hour: number; used: number }>()
  const forcedQuotas = createForcedLimits<QuotaVariant>(now)
  const forcedBursts = createForcedLimits<BurstVariant>(now)

  const currentHour = () => Math.floor(now() / HOUR_MS)
  const usedPoints = (clientId: string) => {
    const entry = usageByClient.get(clientId)
    return entry?.hour === currentHour() ? entry.used : 0
  }

  /**
   * Tokens left in the bucket of a tenant and endpoint after this call; negative if the bucket
   * was empty.
   */
  function consumeBurstToken({ cloudId, endpoint }: RateLimitedCall): number {
    const key = `${cloudId} ${endpoint}`
    const refillShare = /^(PUT|DELETE)/.test(endpoint)
      ? REFILL_SHARE_PER_SECOND / 2
      : REFILL_SHARE_PER_SECOND
    const bucket = buckets.get(key) ?? { level: burst, at: now() }
    const level =
      Math.min(burst, bucket.level + ((now() - bucket.at) / 1000) * burst * refillShare) - 1
    buckets.set(key, { level: Math.max(level, 0), at: now() })
    return level
  }

  function checkQuota(call: RateLimitedCall): SandboxResponse | undefined {
    const variant = forcedQuotas.listActive(call.cloudId).find((active) => active !== 'beta')
    if (variant !== undefined) return buildQuotaRefusal(variant, call.product, now(), hourlyPoints)
    return usedPoints(call.clientId) >= hourlyPoints
      ? buildQuotaRefusal('global', call.product, now(), hourlyPoints)
      : undefined
  }

  function consumeCall(call: RateLimitedCall) {
    const refusal = checkQuota(call)
    if (refusal !== undefined) return { headers: {}, refusal }
    const remaining = consumeBurstToken(call)
    const headers = {
      ...bucketHeaders(burst, remaining),
      ...policyHeaders(hourlyPoints, usedPoints(call.clientId), now())
    }
    const variant =
      forcedBursts.listActive(call.cloudId)[0] ?? (remaining < 0 ? 'standard' : undefined)
    if (variant !== undefined) {
      return { headers: {}, refusal: buildBurstRefusal(variant, call.product, now(), burst) }
    }
    return {
      headers: forcedQuotas.listActive(call.cloudId).includes('beta')
        ? { ...headers, ...betaHeaders(call.product, now()) }
        : headers
    }
  }

  return {
    consumeCall,
    chargePoints: (clientId, objects) => {
      usageByClient.set(clientId, { hour: currentHour(), used: usedPoints(clientId) + 1 + objects })
    },
    exhaustQuota: (variant, cloudId) =>
      forcedQuotas.set(cloudId, variant, (currentHour() + 1) * HOUR_MS),
    exhaustBurst: (forMs, variant, cloudId) =>
      forcedBursts.set(cloudId, forMs > 0 ? variant : undefined, now() + forMs),
    points: () =>
      Object.fromEntries(
        [...usageByClient.keys()].map((clientId) => [
          clientId,
          { used: usedPoints(clientId), limit: hourlyPoints }
        ])
      ),
    clear: () => {
      buckets.clear()
      usageByClient.clear()
      forcedQuotas.clear()
      forcedBursts.clear()
    }
  }
}

/** ISO 8601 without seconds, as Atlassian sends it. */
function formatMinute(time: number): string {
  return new Date(time).toISOString().slice(0, 16) + 'Z'
}

function nextHourStart(now: number): number {
  return (Math.floor(now / HOUR_MS) + 1) * HOUR_MS
}

function bucketHeaders(burst: number, remaining: number): Record<string, string> {
  const nearLimitHeader: Record<string, string> =
    remaining < burst / 5 ? { 'X-RateLimit-NearLimit': 'true' } : {}
  return {
    'X-RateLimit-Limit': String(burst),
    'X-RateLimit-Remaining': String(Math.max(0, Math.floor(remaining))),
    ...nearLimitHeader
  }
}

/** Sent once 80 % of the points are used. */
function policyHeaders(limit: number, used: number, now: number): Record<string, string> {
  if (used < limit * 0.8) return {}
  const seconds = Math.ceil((nextHourStart(now) - now) / 1000)
  return {
    'RateLimit-Policy': `"tenant-app-quota";q=${limit};w=3600`,
    RateLimit: `"tenant-app-quota";r=${Math.max(0, limit - used)};t=${seconds}`
  }
}

function betaHeaders(product: string, now: number): Record<string, string> {
  const reset = formatMinute(nextHourStart(now))
  return {
    'X-Beta-RateLimit-Reason': `${product}-quota-tenant-based`,
    'X-Beta-RateLimit-NearLimit': 'true',
    'X-Beta-RateLimit-Reset': reset,
    'Beta-Retry-After': '3600'
  }
}

const TOO_MANY_BODY = { message: 'Rate limit exceeded' }

function buildQuotaRefusal(
  variant: QuotaVariant,
  product: string,
  now: number,
  limit: number
): SandboxResponse {
  const reset = { 'X-RateLimit-Reset': formatMinute(nextHourStart(now)) }
  if (variant === 'unavailable') {
    return {
      status: 503,
      body: { message: 'Service Unavailable' },
      headers: { 'Retry-After': '30' }
    }
  }
  if (variant === 'gateway') {
    const headers = {
      'X-Failure-Category': 'FAILURE_CLIENT_RATE_LIMIT',
      'X-RateLimit-Limit': '360000',
      'X-RateLimit-Remaining': '0',
      ...reset
    }
    return { status: 429, body: '', headers }
  }
  const reason = `${product}-quota-${variant === 'tenant' ? 'tenant' : 'global'}-based`
  // The seconds are the length of the window, not the remaining time. Clients must use the reset
  // time.
  return {
    status: 429,
    body: TOO_MANY_BODY,
    headers: {
      'Retry-After': '3600',
      'RateLimit-Reason': reason,
      'X-RateLimit-Limit': String(limit),
      'X-RateLimit-Remaining': '0',
      ...reset
    }
  }
}

function buildBurstRefusal(
  variant: BurstVariant,
  product: string,
  now: number,
  burst: number
): SandboxResponse {
  const reset = { 'X-RateLimit-Reset': new Date(now + 1000).toISOString() }
  const bucket = {
    'X-RateLimit-Limit': String(burst),
    'X-RateLimit-Remaining': '0',
    'RateLimit-Reason': `${product}-burst-based`
  }
  const headers = {
    standard: { 'Retry-After': '1', ...bucket, ...reset },
    'reset-only': { ...bucket, ...reset },
    bare: {}
  }[variant]
  return { status: 429, body: TOO_MANY_BODY, headers }
}
