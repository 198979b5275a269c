import { computeBackoffMs, extendToRetryAfter } from '../lib/backoff.ts'
import type { AppError, ErrorCode } from '../lib/errors.ts'
import type { RefreshFailure, Grant } from '../store/repositories/grants.ts'
import type { GrantState } from '../model/states.ts'

/**
 * The class of a failed refresh (docs/reference/atlassian.md#23-errors). A transient failure
 * never ends a consent.
 */
export interface FailureClass {
  to: Exclude<GrantState, 'active'>
  /**
   * True if Atlassian may have rotated the tokens anyway; the old pair then works for ten more
   * minutes.
   */
  isAmbiguous: boolean
}

/**
 * Retried at once: there was no answer, or an unreadable one, and the old token still works
 * (docs/reference/atlassian.md#32-refresh-handling).
 */
export const AMBIGUOUS_ERRORS: ReadonlySet<ErrorCode> = new Set([
  'upstream_timeout',
  'upstream_unreachable',
  'upstream_invalid_answer'
])

export function classifyFailure({ code, details }: AppError): FailureClass {
  if (code === 'needs_reconnect') return { to: 'needs_reconnect', isAmbiguous: false }
  if (code === 'oauth_misconfigured') return { to: 'misconfigured', isAmbiguous: false }
  // A response that says when to retry has rotated nothing.
  const isRejected =
    code === 'upstream_rate_limited' ||
    code === 'upstream_refused' ||
    (code === 'upstream_failed' && details.retryAfterS !== undefined)
  return { to: 'degraded', isAmbiguous: !isRejected }
}

/**
 * Old tokens work for ten minutes after an exchange (docs/reference/atlassian.md#31-rotation).
 * The last attempt starts within this window, so two minutes are left for it.
 */
const AMBIGUOUS_RETRY_WINDOW_MS = 8 * 60_000
/**
 * A grant works again at most five minutes after an outage, and retries often enough while an
 * old token lives.
 */
const BACKOFF = { initialMs: 2_000, maxMs: 5 * 60_000 }
/** The longest Retry-After that is honoured. */
const MAX_RETRY_AFTER_MS = 60 * 60_000

/**
 * Computes how long a grant waits after `failures` consecutive failures, in ms.
 *
 * @param retryAfterS what Atlassian asked for, in seconds
 */
export function computeRefreshDelayMs(failures: number, retryAfterS: number | undefined): number {
  return extendToRetryAfter(
    Math.min(computeBackoffMs(failures, BACKOFF), BACKOFF.maxMs),
    retryAfterS,
    MAX_RETRY_AFTER_MS
  )
}

/**
 * Whether a grant waits for its next attempt. A time further ahead than MAX_RETRY_AFTER_MS was
 * stored by a wrong clock and does not count.
 */
export function isBackingOff(nextTryAt: Date | null, now: number): boolean {
  const remainingMs = nextTryAt === null ? 0 : nextTryAt.getTime() - now
  return remainingMs > 0 && remainingMs <= MAX_RETRY_AFTER_MS
}

/**
 * Plans the next attempt after a failure. An exchange that Atlassian may have performed is
 * repeated while the old token lives, even if Atlassian asks for a longer wait: afterwards the
 * token would be useless.
 *
 * @param ambiguousSince when the first exchange with an unknown outcome started; null if there
 *   is none
 */
export function planNextAttempt(
  { failures }: Grant,
  delayMs: number,
  ambiguousSince: number | null,
  now: number
): RefreshFailure['set'] & { nextTryAt: Date } {
  const latestAttemptAt = ambiguousSince === null ? 0 : ambiguousSince + AMBIGUOUS_RETRY_WINDOW_MS
  const nextTryAt = new Date(
    latestAttemptAt > now ? Math.min(now + delayMs, latestAttemptAt) : now + delayMs
  )
  return {
    failures: failures + 1,
    nextTryAt,
    dueAt: nextTryAt,
    attemptAt: ambiguousSince === null ? null : new Date(ambiguousSince)
  }
}

const DAY_MS = 86_400_000
/**
 * A refresh token expires after 90 idle days (docs/reference/atlassian.md#31-rotation). Jitter
 * spreads grants that were made on the same day.
 */
const [MIN_KEEP_ALIVE_MS, KEEP_ALIVE_JITTER_MS] = [60 * DAY_MS, 15 * DAY_MS]

/** When the maintenance job refreshes a pair that nobody uses. */
export function computeKeepAliveAt(now: number): Date {
  return new Date(now + MIN_KEEP_ALIVE_MS + Math.random() * KEEP_ALIVE_JITTER_MS)
}
