import { HOUR_MS, type QuotaState } from './ledger.ts'
import type { CallClass } from './target.ts'

/** The last tenth of a quota is for interactive calls. */
const INTERACTIVE_RESERVE = 0.1
/** Calls that nobody waits for are spaced once less than this share of the quota is left. */
const PACED_SHARE = 0.2

/**
 * The points of a quota that a class of calls may still use in this hour.
 *
 * @param routinePerHour points that routine calls need per hour; bulk calls leave them to them
 */
export function getAvailablePoints(
  { limit, remaining }: QuotaState,
  callClass: CallClass,
  routinePerHour: number,
  hourLeftMs: number
): number {
  if (callClass === 'interactive') return remaining
  const background = remaining - limit * INTERACTIVE_RESERVE
  return callClass === 'routine' ? background : background - (routinePerHour * hourLeftMs) / HOUR_MS
}

/**
 * Whether a full run of so many points may begin now. It waits for an hour in which it fits, so
 * that it is not parked half-way, and its connection is read for changes meanwhile. A very large
 * one may begin when half of the quota is left.
 */
export function canStartBulk(
  { quota, available }: { quota: QuotaState; available: number },
  points: number
): boolean {
  return available >= Math.min(points, quota.limit / 2)
}

/**
 * How long a call of this class must follow another one per point of that one, in ms, so that
 * what is left lasts until the reset. 0 while enough of the quota is left.
 */
export function getSpacingMs(
  quota: QuotaState,
  callClass: CallClass,
  availablePoints: number,
  now: number
): number {
  if (callClass === 'interactive' || quota.remaining >= quota.limit * PACED_SHARE) return 0
  return Math.max(0, quota.resetAt - now) / Math.max(1, availablePoints)
}
