import type { Answer } from './answer.ts'
import { createCurbs } from '../admin/forced-limits.ts'
import type { Product } from '../data/sites.ts'

export const QUOTA_VARIANTS = ['global', 'tenant', 'gateway', 'beta', 'unavailable'] as const
export type QuotaVariant = (typeof QUOTA_VARIANTS)[number]
export const BURST_VARIANTS = ['standard', 'reset-only', 'bare'] as const
export type BurstVariant = (typeof BURST_VARIANTS)[number]

const HOUR_MS = 3_600_000
/** A bucket of 350 fills at 100 a second for reads, half as fast for PUT and DELETE (atlassian.md section 10). */
const REFILL_SHARE = 100 / 350

export interface Caller {
  clientId: string
  cloudId: string
  product: Product
  /** Method and path pattern. */
  endpoint: string
}

export interface Limits {
  /** Takes one call from the burst bucket: headers for the answer, and a refusal when there was nothing left. */
  admit: (caller: Caller) => { headers: Record<string, string>; refusal?: Answer }
  /** Books 1 point and one for each object; call it once the answer is known. */
  charge: (clientId: string, objects: number) => void
  /** Refuses everything, or one site, until the top of the hour; without a variant it ends what was called for. */
  exhaustQuota: (variant: QuotaVariant | undefined, cloudId?: string) => void
  /** Refuses everything, or one site, as a burst for so many milliseconds of world time; none end what was called for. */
  exhaustBurst: (forMs: number, variant: BurstVariant, cloudId?: string) => void
  points: () => Record<string, { used: number; limit: number }>
  clear: () => void
}

export interface LimitOptions {
  burst: number
  hourlyPoints: number
  now: () => number
}

export function createLimits({ burst, hourlyPoints, now }: LimitOptions): Limits {
  const buckets = new Map<string, { level: number; at: number }>()
  const ledger = new Map<string, { hour: number; used: number }>()
  const quotas = createCurbs<QuotaVariant>(now)
  const storms = createCurbs<BurstVariant>(now)

  const hour = () => Math.floor(now() / HOUR_MS)
  const used = (clientId: string) => {
    const entry = ledger.get(clientId)
    return entry?.hour === hour() ? entry.used : 0
  }

  /** What is left in the bucket of one tenant and endpoint, after this call; below zero it was empty. */
  function draw({ cloudId, endpoint }: Caller): number {
    const key = `${cloudId} ${endpoint}`
    const share = /^(PUT|DELETE)/.test(endpoint) ? REFILL_SHARE / 2 : REFILL_SHARE
    const bucket = buckets.get(key) ?? { level: burst, at: now() }
    const level = Math.min(burst, bucket.level + ((now() - bucket.at) / 1000) * burst * share) - 1
    buckets.set(key, { level: Math.max(level, 0), at: now() })
    return level
  }

  function quotaRefusal(caller: Caller): Answer | undefined {
    const variant = quotas.on(caller.cloudId).find((called) => called !== 'beta')
    if (variant !== undefined) return refuseQuota(variant, caller.product, now(), hourlyPoints)
    return used(caller.clientId) >= hourlyPoints
      ? refuseQuota('global', caller.product, now(), hourlyPoints)
      : undefined
  }

  function admit(caller: Caller) {
    const refusal = quotaRefusal(caller)
    if (refusal !== undefined) return { headers: {}, refusal }
    const left = draw(caller)
    const headers = {
      ...bucketHeaders(burst, left),
      ...policyHeaders(hourlyPoints, used(caller.clientId), now())
    }
    const variant = storms.on(caller.cloudId)[0] ?? (left < 0 ? 'standard' : undefined)
    if (variant !== undefined) {
      return { headers: {}, refusal: refuseBurst(variant, caller.product, now(), burst) }
    }
    return {
      headers: quotas.on(caller.cloudId).includes('beta')
        ? { ...headers, ...betaHeaders(caller.product, now()) }
        : headers
    }
  }

  return {
    admit,
    charge: (clientId, objects) => {
      ledger.set(clientId, { hour: hour(), used: used(clientId) + 1 + objects })
    },
    exhaustQuota: (variant, cloudId) => quotas.set(cloudId, variant, (hour() + 1) * HOUR_MS),
    exhaustBurst: (forMs, variant, cloudId) =>
      storms.set(cloudId, forMs > 0 ? variant : undefined, now() + forMs),
    points: () =>
      Object.fromEntries(
        [...ledger.keys()].map((clientId) => [
          clientId,
          { used: used(clientId), limit: hourlyPoints }
        ])
      ),
    clear: () => {
      buckets.clear()
      ledger.clear()
      quotas.clear()
      storms.clear()
    }
  }
}

/** ISO 8601 without seconds, as seen in the wild. */
function minuteOf(time: number): string {
  return new Date(time).toISOString().slice(0, 16) + 'Z'
}

function nextHour(now: number): number {
  return (Math.floor(now / HOUR_MS) + 1) * HOUR_MS
}

function bucketHeaders(burst: number, left: number): Record<string, string> {
  const near: Record<string, string> = left < burst / 5 ? { 'X-RateLimit-NearLimit': 'true' } : {}
  return {
    'X-RateLimit-Limit': String(burst),
    'X-RateLimit-Remaining': String(Math.max(0, Math.floor(left))),
    ...near
  }
}

/** From 80 % of the points on. */
function policyHeaders(limit: number, used: number, now: number): Record<string, string> {
  if (used < limit * 0.8) return {}
  const seconds = Math.ceil((nextHour(now) - now) / 1000)
  return {
    'RateLimit-Policy': `"tenant-app-quota";q=${limit};w=3600`,
    RateLimit: `"tenant-app-quota";r=${Math.max(0, limit - used)};t=${seconds}`
  }
}

function betaHeaders(product: Product, now: number): Record<string, string> {
  const reset = minuteOf(nextHour(now))
  return {
    'X-Beta-RateLimit-Reason': `${product}-quota-tenant-based`,
    'X-Beta-RateLimit-NearLimit': 'true',
    'X-Beta-RateLimit-Reset': reset,
    'Beta-Retry-After': '3600'
  }
}

const TOO_MANY = { message: 'Rate limit exceeded' }

function refuseQuota(variant: QuotaVariant, product: Product, now: number, limit: number): Answer {
  const reset = { 'X-RateLimit-Reset': minuteOf(nextHour(now)) }
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
  // The seconds are the window's length and not what is left of it: the reset time is the one to go by.
  return {
    status: 429,
    body: TOO_MANY,
    headers: {
      'Retry-After': '3600',
      'RateLimit-Reason': reason,
      'X-RateLimit-Limit': String(limit),
      'X-RateLimit-Remaining': '0',
      ...reset
    }
  }
}

function refuseBurst(variant: BurstVariant, product: Product, now: number, burst: number): Answer {
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
  return { status: 429, body: TOO_MANY, headers }
}
