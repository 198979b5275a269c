import { createForcedLimits } from '../admin/forced-limits.ts'
import type { RATE_HEADERS } from '../answers/rules.ts'
import type { SandboxResponse } from './answer.ts'
import { createPointsLedger } from './points-ledger.ts'
import type { PointsLedger } from './points-ledger.ts'
import {
  bucketHeaders,
  buildBurstRefusal,
  buildQuotaRefusal,
  oldBetaHeaders,
  policyHeaders,
  toBetaHeaders
} from './rate-headers.ts'
import type { BurstVariant, QuotaPolicies, QuotaVariant, RateVariant } from './rate-headers.ts'

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
  rateHeaders: (typeof RATE_HEADERS)[number]
  rateVariant: RateVariant
}

/** A quota refusal on demand; `reason` replaces the usual `RateLimit-Reason`. */
interface ForcedQuota {
  variant: QuotaVariant
  reason?: string | undefined
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
  chargePoints: (clientId: string, cloudId: string, objects: number) => void
  /**
   * Rejects all calls, or those to one site, until the next full hour. Without a quota it ends the
   * forced limit.
   */
  exhaustQuota: (quota: ForcedQuota | undefined, cloudId?: string) => void
  /**
   * Rejects all calls, or those to one site, as a burst for `forMs` of sandbox time; 0 ends the
   * forced limit.
   */
  exhaustBurst: (forMs: number, variant: BurstVariant, cloudId?: string) => void
  ledger: Pick<PointsLedger, 'setQuota' | 'setUsedByOthers'>
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
  const ledger = createPointsLedger(hourlyPoints, now)
  const forcedQuotas = createForcedLimits<ForcedQuota>(now)
  const forcedBursts = createForcedLimits<BurstVariant>(now)

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

  function readPolicies({ clientId, cloudId, rateVariant }: RateLimitedCall): QuotaPolicies {
    const quota = ledger.quota()
    return {
      ...(rateVariant !== 'tenant' && { global: { quota, used: ledger.usedByApp(clientId) } }),
      ...(rateVariant !== 'global' && {
        tenant: { quota, used: ledger.usedAtSite(clientId, cloudId) }
      })
    }
  }

  function checkQuota(call: RateLimitedCall, policies: QuotaPolicies): SandboxResponse | undefined {
    const hasPolicies = call.rateHeaders === 'policies'
    const refusal = { product: call.product, now: now(), quota: ledger.quota(), hasPolicies }
    const forced = forcedQuotas.listActive(call.cloudId).find((active) => active.variant !== 'beta')
    if (forced !== undefined) return buildQuotaRefusal(forced, refusal)
    if (call.rateHeaders === 'beta') return undefined
    const empty = (['global', 'tenant'] as const).find((name) => {
      const policy = policies[name]
      return policy !== undefined && policy.used >= policy.quota
    })
    return empty === undefined ? undefined : buildQuotaRefusal({ variant: empty }, refusal)
  }

  function consumeCall(call: RateLimitedCall) {
    const policies = readPolicies(call)
    const refusal = checkQuota(call, policies)
    if (refusal !== undefined) return { headers: {}, refusal }
    const remaining = consumeBurstToken(call)
    const variant =
      forcedBursts.listActive(call.cloudId)[0] ?? (remaining < 0 ? 'standard' : undefined)
    if (variant !== undefined) {
      return { headers: {}, refusal: buildBurstRefusal(variant, call.product, now(), burst) }
    }
    const quotaHeaders = policyHeaders(policies, { burst, remaining }, now())
    const isOldBeta = forcedQuotas
      .listActive(call.cloudId)
      .some((active) => active.variant === 'beta')
    return {
      headers: {
        ...bucketHeaders(burst, remaining),
        ...{ none: {}, policies: quotaHeaders, beta: toBetaHeaders(quotaHeaders) }[
          call.rateHeaders
        ],
        ...(isOldBeta && oldBetaHeaders(call.product, now()))
      }
    }
  }

  return {
    consumeCall,
    ledger,
    chargePoints: ledger.charge,
    exhaustQuota: (quota, cloudId) =>
      forcedQuotas.set(cloudId, quota, (Math.floor(now() / HOUR_MS) + 1) * HOUR_MS),
    exhaustBurst: (forMs, variant, cloudId) =>
      forcedBursts.set(cloudId, forMs > 0 ? variant : undefined, now() + forMs),
    points: () =>
      Object.fromEntries(
        ledger
          .clients()
          .map((clientId) => [
            clientId,
            { used: ledger.usedByApp(clientId), limit: ledger.quota() }
          ])
      ),
    clear: () => {
      buckets.clear()
      ledger.clear()
      forcedQuotas.clear()
      forcedBursts.clear()
    }
  }
}
