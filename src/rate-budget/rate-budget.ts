import { randomUUID } from 'node:crypto'
import { addJitter, computeBackoffMs } from '../lib/backoff.ts'
import { AppError } from '../lib/errors.ts'
import type { HttpResponse } from '../lib/http-client.ts'
import { createLedger, type LedgerSettings } from './ledger.ts'
import { canStartBulk, getAvailablePoints, getSpacingMs } from './pacing.ts'
import { createLimitsReport } from './limits-report.ts'
import { parsePolicies, type LimitScope } from './policies.ts'
import { createPriorityQueue, type PriorityQueue } from './priority-queue.ts'
import { parseRefusal } from './refusal.ts'
import {
  describeCovered,
  nameScopes,
  toCallClass,
  type CallClass,
  type CallPriority,
  type CallTarget
} from './target.ts'

/** A call that would wait longer fails with `upstream_rate_limited`. */
const MAX_WAIT_MS = { interactive: 5_000, background: 10_000 }
/** After a refusal that names no time. */
const BACKOFF = { initialMs: 2_000, maxMs: 30_000 }
/** Added to the time that Atlassian names. */
const RETRY_AFTER_MARGIN_MS = 250
const MAX_CONCURRENT = 8
/** A shorter wait between paced calls is not worth telling other instances. */
const MIN_SHARED_DELAY_MS = 1_000
const QUOTA_SCOPES = ['app', 'site'] as const

interface Block {
  until: number
  consecutiveRefusals: number
}

/**
 * The budget of every call to Atlassian, from every instance. A refusal blocks all calls that
 * share the limit, nobody calls before the time Atlassian named, interactive calls go first, and
 * other calls slow down before a quota is used up.
 */
export function createRateBudget(settings: LedgerSettings) {
  const { shared, now } = settings
  const instanceId = randomUUID()
  const ledger = createLedger(settings)
  const blocks = new Map<string, Block>()
  const queues = new Map<string, PriorityQueue>()
  /** The points of the latest call of each endpoint, which the next one is expected to cost. */
  const expectedPoints = new Map<string, number>()
  const routinePoints = new Map<string, number>()

  const getUntil = (name: string) => blocks.get(name)?.until ?? 0
  const nameLane = (name: string, callClass: CallClass) => `${name} #${callClass}`

  /** The quotas that cover a call, with what its class may still use of them. */
  function listQuotas(target: CallTarget, callClass: CallClass) {
    const names = nameScopes(target)
    return QUOTA_SCOPES.flatMap((scope) => {
      const name = target.site === '' ? undefined : names[scope]
      const quota = name === undefined ? undefined : ledger.getQuota(name, scope)
      if (name === undefined || quota === undefined) return []
      const available = getAvailablePoints(
        quota,
        callClass,
        routinePoints.get(target.app) ?? 0,
        ledger.nextHourAt() - now()
      )
      return [{ name, scope, quota, available, lane: nameLane(name, callClass) }]
    })
  }

  function getClassWaitMs(target: CallTarget, callClass: CallClass): number {
    const quotas = listQuotas(target, callClass)
    const names = [...Object.values(nameScopes(target)), ...quotas.map(({ lane }) => lane)]
    const isSpent = quotas.some(({ available }) => available <= 0)
    return Math.max(
      0,
      ...names.map((name) => getUntil(name) - now()),
      isSpent ? ledger.nextHourAt() - now() : 0
    )
  }

  /** Reads what other instances were refused and have used. */
  async function pullShared(target: CallTarget, callClass: CallClass): Promise<void> {
    await ledger.publish(target)
    const lanes = listQuotas(target, callClass).map(({ lane }) => lane)
    const names = [...Object.values(nameScopes(target)), ...lanes]
    for (const row of await shared.listByNames(names)) {
      const { name, waitMs, owner, consecutiveRefusals } = row
      if (owner !== instanceId && waitMs > 0) extendBlock(name, waitMs, consecutiveRefusals)
      ledger.merge(row)
    }
  }

  function extendBlock(name: string, waitMs: number, consecutiveRefusals: number): void {
    blocks.set(name, { until: Math.max(getUntil(name), now() + waitMs), consecutiveRefusals })
  }

  async function block(
    target: CallTarget,
    scope: LimitScope,
    refusal: { waitMs: number; reason: string; consecutiveRefusals: number }
  ): Promise<void> {
    const { waitMs, reason, consecutiveRefusals } = refusal
    const names = nameScopes(target)
    // A limit that a call outside a site meets does not cover the calls to sites.
    const covered = names[scope] === undefined ? 'site' : scope
    const name = names[covered] ?? ''
    extendBlock(name, waitMs, consecutiveRefusals)
    await shared.block({
      name,
      app: target.app,
      scope: covered,
      target: describeCovered(target, covered),
      reason,
      waitMs: Math.ceil(waitMs),
      owner: instanceId,
      consecutiveRefusals
    })
  }

  async function recordResponse(
    target: CallTarget,
    response: HttpResponse,
    callClass: CallClass,
    correctDelay: (points: number) => void
  ): Promise<void> {
    const policies = parsePolicies(response.headers)
    const points = ledger.record(target, response, policies)
    expectedPoints.set(target.endpoint, Math.max(1, points))
    correctDelay(points)
    await shareDelay(target, callClass)
    const refusal = parseRefusal(response, now())
    if (refusal === undefined) {
      for (const name of Object.values(nameScopes(target))) {
        if (getUntil(name) <= now()) blocks.delete(name)
      }
    } else {
      const { scope, reason, waitMs, firstWaitMs } = refusal
      const name = nameScopes(target)[scope] ?? ''
      const consecutiveRefusals = (blocks.get(name)?.consecutiveRefusals ?? 0) + 1
      const statedMs = consecutiveRefusals === 1 ? (firstWaitMs ?? waitMs) : waitMs
      await block(target, scope, {
        reason,
        consecutiveRefusals,
        waitMs:
          statedMs === undefined
            ? computeBackoffMs(consecutiveRefusals, BACKOFF)
            : statedMs + addJitter(RETRY_AFTER_MARGIN_MS)
      })
    }
    // Nothing is left of it, although this call was still answered.
    for (const { scope, name, isQuota, remaining, resetMs } of policies) {
      const waitMs = resetMs ?? (isQuota ? ledger.nextHourAt() - now() : 0)
      if (remaining !== 0 || waitMs === 0 || getUntil(nameScopes(target)[scope] ?? '') > now()) {
        continue
      }
      await block(target, scope, {
        reason: name,
        consecutiveRefusals: 0,
        waitMs: waitMs + addJitter(RETRY_AFTER_MARGIN_MS)
      })
    }
  }

  /**
   * Where a quota runs out, postpones the next call of this class by the points that this one is
   * expected to cost.
   *
   * @returns corrects the delay once the points are known
   */
  function delayNext(
    target: CallTarget,
    callClass: CallClass,
    expected: number
  ): (points: number) => void {
    const delayed = new Map<string, number>()
    for (const { lane, quota, available } of listQuotas(target, callClass)) {
      const delayMs = expected * getSpacingMs(quota, callClass, available, now())
      if (delayMs === 0) continue
      delayed.set(lane, delayMs)
      extendLane(lane, delayMs, quota.resetAt)
    }
    return (points) => {
      for (const { lane, quota, available } of listQuotas(target, callClass)) {
        const delayMs = delayed.get(lane)
        if (delayMs === undefined) continue
        const correctMs = points * getSpacingMs(quota, callClass, available, now())
        extendLane(lane, correctMs - delayMs, quota.resetAt)
      }
    }
  }

  function extendLane(lane: string, delayMs: number, resetAt: number): void {
    const until = Math.max(now(), getUntil(lane)) + delayMs
    blocks.set(lane, { until: Math.min(resetAt, until), consecutiveRefusals: 0 })
  }

  async function shareDelay(target: CallTarget, callClass: CallClass): Promise<void> {
    for (const { lane, scope } of listQuotas(target, callClass)) {
      const waitMs = Math.ceil(getUntil(lane) - now())
      if (waitMs < MIN_SHARED_DELAY_MS) continue
      await shared.block({
        name: lane,
        app: target.app,
        scope: 'pace',
        target: describeCovered(target, scope),
        reason: callClass,
        waitMs,
        owner: instanceId,
        consecutiveRefusals: 0
      })
    }
  }

  function queueFor(target: CallTarget): PriorityQueue {
    const endpoint = nameScopes(target).endpoint ?? ''
    const cached =
      queues.get(endpoint) ??
      createPriorityQueue(MAX_CONCURRENT, (callClass) => getClassWaitMs(target, callClass))
    queues.set(endpoint, cached)
    return cached
  }

  return {
    /** For waits that end too late, because the clock was set back since. */
    forgetWaits: blocks.clear.bind(blocks),

    /**
     * Sends one call when it is its turn.
     *
     * @throws AppError `upstream_rate_limited` with `retryAfterS` if the wait would be too long
     */
    async call(
      target: CallTarget,
      priority: CallPriority,
      send: () => Promise<HttpResponse>
    ): Promise<HttpResponse> {
      const callClass = toCallClass(priority)
      const assertWaitAcceptable = () => {
        const wait = getClassWaitMs(target, callClass)
        if (wait > MAX_WAIT_MS[callClass === 'interactive' ? callClass : 'background']) {
          throw new AppError(
            'upstream_rate_limited',
            'Atlassian limits the rate of calls. Try again later.',
            { retryAfterS: Math.ceil(wait / 1000) }
          )
        }
      }
      while (true) {
        assertWaitAcceptable()
        const release = await queueFor(target).acquire(
          callClass,
          priority.signal,
          assertWaitAcceptable
        )
        try {
          await pullShared(target, callClass)
          // Another call was refused or counted meanwhile: wait again.
          if (getClassWaitMs(target, callClass) > 0) continue
          const expected = expectedPoints.get(target.endpoint) ?? 1
          const correctDelay = delayNext(target, callClass, expected)
          const response = await send()
          await recordResponse(target, response, callClass, correctDelay)
          return response
        } finally {
          release()
        }
      }
    },

    /** How long a call must wait, in ms. */
    getWaitMs: (target: CallTarget, isInteractive: boolean, isBulk = false) =>
      getClassWaitMs(target, toCallClass({ isInteractive, isBulk })),

    getUsedPoints: ledger.getUsed,

    /** Whether a full run of so many points may begin now, without being parked half-way. */
    canStartFullRun: (target: CallTarget, points: number): boolean =>
      getClassWaitMs(target, 'bulk') === 0 &&
      listQuotas(target, 'bulk').every((each) => canStartBulk(each, points)),

    /** The quota of an app. */
    getHourlyPoints: (app: string) => ledger.getQuota(app, 'app')?.limit ?? settings.hourlyPoints,

    /** Reserves points per hour for the routine calls of an app: bulk calls leave them alone. */
    reserveRoutinePoints(app: string, pointsPerHour: number): void {
      routinePoints.set(app, pointsPerHour)
    },

    /** The limits of an app, as far as all instances know them. */
    getLimits: createLimitsReport(ledger, shared, now)
  }
}

export type RateBudget = ReturnType<typeof createRateBudget>
