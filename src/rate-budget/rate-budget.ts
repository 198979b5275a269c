import { randomUUID } from 'node:crypto'
import { addJitter, computeBackoffMs } from '../lib/backoff.ts'
import { AppError } from '../lib/errors.ts'
import type { HttpResponse } from '../lib/http-client.ts'
import type { RateBudgetRepository } from '../store/repositories/rate-budgets.ts'
import { createPriorityQueue, type PriorityQueue } from './priority-queue.ts'
import {
  parseRemainingPoints,
  estimateCost,
  parseRateLimit,
  type LimitScope
} from './rate-limit-headers.ts'

/** The app, site and endpoint whose limits a call counts against. */
export interface CallTarget {
  app: string
  site: string
  endpoint: string
}

export interface CallPriority {
  /** A caller waits for the answer, so the call goes before background calls. */
  isInteractive: boolean
  signal?: AbortSignal | undefined
}

export interface RateBudgetSettings {
  /** State shared with the other instances. */
  shared: RateBudgetRepository
  now: () => number
  /**
   * Points an app may use per hour, over all sites (docs/reference/atlassian.md#10-rate-limits).
   */
  hourlyPoints: number
}

const HOUR_MS = 3_600_000
/** Background calls leave the rest of the hour's points to interactive ones. */
const BACKGROUND_SHARE = 0.9
/** A call that would wait longer fails with `upstream_rate_limited`. */
const MAX_WAIT_MS = { interactive: 5_000, background: 10_000 }
/** After a refusal that names no time. */
const BACKOFF = { initialMs: 2_000, maxMs: 30_000 }
/** Added to the time that Atlassian names. */
const RETRY_AFTER_MARGIN_MS = 250
const MAX_CONCURRENT = 8
/** Minimum interval between two publications of used points. */
const PUBLISH_INTERVAL_MS = 1_000

/**
 * Points used this hour as far as this process knows, and those not yet published to other
 * instances.
 */
interface HourlyUsage {
  hour: number
  used: number
  unpublished: number
  minimumUsed: number
  publishedAt: number
}

/**
 * The budget of every call to Atlassian, from every instance. A refusal blocks all calls that
 * share the limit, nobody calls before the time Atlassian named, and interactive calls go first.
 */
export function createRateBudget({ shared, now, hourlyPoints }: RateBudgetSettings) {
  const instanceId = randomUUID()
  const blocks = new Map<string, { until: number; consecutiveRefusals: number }>()
  const usageByApp = new Map<string, HourlyUsage>()
  const queues = new Map<string, PriorityQueue>()

  const scopeNames = ({ app, site, endpoint }: CallTarget): Record<LimitScope, string> => ({
    app,
    site: `${app} ${site}`,
    endpoint: `${app} ${site} ${endpoint}`
  })
  const currentHour = () => Math.floor(now() / HOUR_MS)
  const getUsedPoints = (app: string) => {
    const usage = usageByApp.get(app)
    return usage?.hour === currentHour() ? usage.used : 0
  }

  /** How long a call must wait, in ms. */
  function getWaitMs(target: CallTarget, isInteractive: boolean): number {
    const until = Math.max(
      ...Object.values(scopeNames(target)).map((name) => blocks.get(name)?.until ?? 0)
    )
    const spent = getUsedPoints(target.app) >= hourlyPoints * (isInteractive ? 1 : BACKGROUND_SHARE)
    return Math.max(0, until - now(), spent ? (currentHour() + 1) * HOUR_MS - now() : 0)
  }

  /** Reads what other instances were refused and have used. */
  async function pullShared(target: CallTarget): Promise<void> {
    await publishUsage(target.app)
    const usage = getUsage(target.app)
    for (const {
      name,
      waitMs,
      owner,
      consecutiveRefusals,
      hour,
      pointsUsed: spent
    } of await shared.listByNames(Object.values(scopeNames(target)))) {
      if (owner !== instanceId && waitMs > 0) {
        blocks.set(name, {
          until: Math.max(blocks.get(name)?.until ?? 0, now() + waitMs),
          consecutiveRefusals
        })
      }
      if (name === target.app && hour === usage.hour) {
        usage.used = Math.max(usage.used, spent + usage.unpublished)
      }
    }
  }

  /** Publishes the points used here. */
  async function publishUsage(app: string): Promise<void> {
    const usage = getUsage(app)
    const { hour, unpublished, minimumUsed, publishedAt } = usage
    if (unpublished === 0 || performance.now() - publishedAt < PUBLISH_INTERVAL_MS) return
    Object.assign(usage, { unpublished: 0, publishedAt: performance.now() })
    const spent = await shared.addUsage(app, hour, unpublished, minimumUsed)
    usage.used = Math.max(usage.used, spent + usage.unpublished)
  }

  function getUsage(app: string): HourlyUsage {
    const cached = usageByApp.get(app)
    if (cached?.hour === currentHour()) return cached
    const usage = {
      hour: currentHour(),
      used: 0,
      unpublished: 0,
      minimumUsed: 0,
      publishedAt: performance.now()
    }
    usageByApp.set(app, usage)
    return usage
  }

  async function recordResponse(target: CallTarget, response: HttpResponse): Promise<void> {
    const refusal = parseRateLimit(response, now())
    const usage = getUsage(target.app)
    const points = estimateCost(response)
    usage.minimumUsed = Math.max(
      usage.minimumUsed,
      hourlyPoints - (parseRemainingPoints(response) ?? hourlyPoints)
    )
    usage.used = Math.max(usage.used + points, usage.minimumUsed)
    usage.unpublished += points
    if (refusal === undefined) {
      for (const name of Object.values(scopeNames(target))) {
        if ((blocks.get(name)?.until ?? Infinity) <= now()) blocks.delete(name)
      }
      return
    }
    const name = scopeNames(target)[refusal.scope]
    const consecutiveRefusals = (blocks.get(name)?.consecutiveRefusals ?? 0) + 1
    const wait =
      refusal.waitMs === undefined
        ? computeBackoffMs(consecutiveRefusals, BACKOFF)
        : refusal.waitMs + addJitter(RETRY_AFTER_MARGIN_MS)
    blocks.set(name, {
      until: Math.max(blocks.get(name)?.until ?? 0, now() + wait),
      consecutiveRefusals
    })
    await shared.block(name, Math.ceil(wait), instanceId, consecutiveRefusals)
  }

  function queueFor(target: CallTarget): PriorityQueue {
    const { endpoint } = scopeNames(target)
    const cached =
      queues.get(endpoint) ??
      createPriorityQueue(MAX_CONCURRENT, (isInteractive) => getWaitMs(target, isInteractive))
    queues.set(endpoint, cached)
    return cached
  }

  return {
    /**
     * Sends one call when it is its turn.
     *
     * @throws AppError `upstream_rate_limited` with `retryAfterS` if the wait would be too long
     */
    async call(
      target: CallTarget,
      { isInteractive, signal }: CallPriority,
      send: () => Promise<HttpResponse>
    ): Promise<HttpResponse> {
      const assertWaitAcceptable = () => {
        const wait = getWaitMs(target, isInteractive)
        if (wait > MAX_WAIT_MS[isInteractive ? 'interactive' : 'background']) {
          throw new AppError(
            'upstream_rate_limited',
            'Atlassian limits the rate of calls. Try again later.',
            { retryAfterS: Math.ceil(wait / 1000) }
          )
        }
      }
      while (true) {
        assertWaitAcceptable()
        const release = await queueFor(target).acquire(isInteractive, signal, assertWaitAcceptable)
        try {
          await pullShared(target)
          // Another call was refused meanwhile: wait again.
          if (getWaitMs(target, isInteractive) > 0) continue
          const response = await send()
          await recordResponse(target, response)
          return response
        } finally {
          release()
        }
      }
    },

    getWaitMs,
    getUsedPoints
  }
}

export type RateBudget = ReturnType<typeof createRateBudget>

/** Derives a call's site and endpoint from its URL; ids are left out of the endpoint. */
export function toCallTarget(app: string, method: string, url: string): CallTarget {
  const { pathname } = new URL(url)
  const [, product = '', cloudId = '', path = pathname] =
    /\/ex\/([^/]+)\/([^/]+)(\/.*)$/s.exec(pathname) ?? []
  return {
    app,
    site: cloudId,
    endpoint: `${method} ${product}${path.replace(/\/\d+(?=\/|$)/g, '/{id}')}`
  }
}
