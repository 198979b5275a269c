import type { HttpResponse } from '../lib/http-client.ts'
import type { RateBudgetRepository, RateBudgetRow } from '../store/repositories/rate-budgets.ts'
import { estimateCost } from './points.ts'
import type { RateLimitPolicy } from './policies.ts'
import type { CallTarget } from './target.ts'

export const HOUR_MS = 3_600_000
/** Minimum interval between two publications of used points. */
const PUBLISH_INTERVAL_MS = 1_000

/** The shared row in which points are counted. */
export interface MeterName {
  name: string
  app: string
  scope: 'app' | 'site' | 'product'
  /** The cloud id or the product. */
  target: string
}

/** The points of one app, of an app at one site, or of an app's product, in the current hour. */
interface Meter extends MeterName {
  hour: number
  /** As far as this process knows: counted, and corrected by what Atlassian reported. */
  used: number
  unpublished: number
  minimumUsed: number
  publishedAt: number
  /** In progress. Further calls wait for it, so that they keep their order. */
  publication: Promise<void> | undefined
  /** When Atlassian resets the quota, if a response of this hour said so. */
  resetAt: number | undefined
}

/** A quota, as far as it is known. */
export interface QuotaState {
  limit: number
  /** Whether a response named the limit, and not the setting. */
  isReported: boolean
  used: number
  remaining: number
  resetAt: number
}

export interface LedgerSettings {
  shared: RateBudgetRepository
  now: () => number
  /** Points an app may use per hour, over all sites (docs/reference/atlassian.md#101-limits). */
  hourlyPoints: number
}

/**
 * Counts points. Below four fifths of the quota Atlassian does not say what was used, so every
 * call is counted by its price and the sum is corrected as soon as a response states the rest.
 */
export function createLedger({ shared, now, hourlyPoints }: LedgerSettings) {
  const meters = new Map<string, Meter>()
  /** The quotas that `RateLimit-Policy` named; they outlive the hour. */
  const quotas = new Map<string, number>()
  const currentHour = () => Math.floor(now() / HOUR_MS)
  const nextHourAt = () => (currentHour() + 1) * HOUR_MS

  function getMeter(meterName: MeterName): Meter {
    const { name } = meterName
    const cached = meters.get(name)
    if (cached?.hour === currentHour()) return cached
    const meter = {
      ...meterName,
      hour: currentHour(),
      used: 0,
      unpublished: 0,
      minimumUsed: 0,
      publishedAt: performance.now(),
      publication: undefined,
      resetAt: undefined
    }
    meters.set(name, meter)
    return meter
  }

  /**
   * The quota of an app, or of an app at one site. The setting is the operator's limit for the
   * app: a larger quota does not raise it.
   */
  function getQuota(name: string, scope: 'app' | 'site'): QuotaState | undefined {
    const reported = quotas.get(name)
    if (scope === 'site' && reported === undefined) return undefined
    const limit = scope === 'app' ? Math.min(hourlyPoints, reported ?? Infinity) : (reported ?? 0)
    const meter = meters.get(name)
    const isCurrent = meter?.hour === currentHour()
    const used = isCurrent ? meter.used : 0
    const resetAt = isCurrent ? meter.resetAt : undefined
    return {
      limit,
      isReported: reported === limit,
      used,
      remaining: Math.max(0, limit - used),
      resetAt: resetAt !== undefined && resetAt > now() ? resetAt : nextHourAt()
    }
  }

  /**
   * Counts the points of a response, and corrects the sum by what it states.
   *
   * @returns its points
   */
  function record(
    target: CallTarget,
    response: HttpResponse,
    policies: readonly RateLimitPolicy[]
  ): number {
    const points = target.site === '' ? 0 : estimateCost(response)
    for (const meterName of listMeters(target)) {
      const meter = getMeter(meterName)
      meter.used += points
      meter.unpublished += points
      const { name, scope } = meterName
      if (scope === 'product') continue
      for (const { isQuota, quota, remaining, resetMs } of policies.filter(
        (policy) => policy.scope === scope
      )) {
        if (!isQuota) continue
        if (quota !== undefined) quotas.set(name, quota)
        // A policy of the site without its size: as large as the app's setting.
        else if (scope === 'site' && !quotas.has(name)) quotas.set(name, hourlyPoints)
        if (resetMs !== undefined) meter.resetAt = now() + resetMs
        const limit = getQuota(name, scope)?.limit ?? 0
        // Nothing left is a block until the stated time, which may differ from this hour's end.
        if (remaining !== undefined && remaining > 0) {
          meter.minimumUsed = Math.max(meter.minimumUsed, limit - remaining)
        }
        meter.used = Math.max(meter.used, meter.minimumUsed)
      }
    }
    return points
  }

  async function publishMeter(meter: Meter): Promise<void> {
    const { name, app, scope, target, hour, unpublished: points, minimumUsed } = meter
    Object.assign(meter, { unpublished: 0, publishedAt: performance.now() })
    const quota = quotas.get(name) ?? null
    const usage = { name, app, scope, target, hour, points, minimumUsed, quota }
    const total = await shared.addUsage(usage)
    meter.used = Math.max(meter.used, total + meter.unpublished)
  }

  /** Publishes the points used here, at most once a second. */
  async function publish(target: CallTarget): Promise<void> {
    for (const meterName of listMeters(target)) {
      const meter = getMeter(meterName)
      if (meter.unpublished > 0 && performance.now() - meter.publishedAt >= PUBLISH_INTERVAL_MS) {
        meter.publication = publishMeter(meter).finally(() => {
          meter.publication = undefined
        })
      }
      if (meter.publication !== undefined) await meter.publication
    }
  }

  /** Publishes everything used here. */
  async function publishAll(): Promise<void> {
    for (const meter of meters.values()) if (meter.unpublished > 0) await publishMeter(meter)
  }

  /** Takes over what other instances have published. */
  function merge({ name, app, scope, target, hour, pointsUsed, quota }: RateBudgetRow): void {
    if (hour !== currentHour() || !isMeterScope(scope)) return
    if (quota !== null && !quotas.has(name)) quotas.set(name, quota)
    const meter = getMeter({ name, app, scope, target })
    meter.used = Math.max(meter.used, pointsUsed + meter.unpublished)
  }

  return {
    record,
    publish,
    publishAll,
    merge,
    getQuota,
    currentHour,
    nextHourAt,
    getUsed: (name: string) => {
      const meter = meters.get(name)
      return meter?.hour === currentHour() ? meter.used : 0
    }
  }
}

export type Ledger = ReturnType<typeof createLedger>

function isMeterScope(scope: string): scope is MeterName['scope'] {
  return scope === 'app' || scope === 'site' || scope === 'product'
}

/** The rows in which a call's points are counted; calls outside a site cost none. */
function listMeters({ app, site, product }: CallTarget): MeterName[] {
  if (site === '') return []
  return [
    { name: app, app, scope: 'app', target: '' },
    { name: `${app} ${site}`, app, scope: 'site', target: site },
    ...(product === undefined
      ? []
      : [{ name: `${app} *${product}`, app, scope: 'product' as const, target: product }])
  ]
}
