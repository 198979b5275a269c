import type { AppError, ErrorCode } from '../lib/errors.ts'
import type { RefreshFailure, Grant } from '../store/repositories/grants.ts'
import type { GrantState } from '../model/states.ts'

/**
 * A failed refresh, judged (docs/reference/atlassian.md#23-errors). Passing trouble never costs
 * anybody a consent.
 */
export interface FailureClass {
  to: Exclude<GrantState, 'active'>
  /** True where Atlassian may have rotated the tokens all the same, so that the ten minutes of the old ones have begun. */
  isAmbiguous: boolean
}

/**
 * Asked for again at once: there was no answer, or none that can be read, and the old token still
 * works (docs/reference/atlassian.md#32-refresh-handling).
 */
export const AMBIGUOUS_ERRORS: ReadonlySet<ErrorCode> = new Set([
  'upstream_timeout',
  'upstream_unreachable',
  'upstream_invalid_answer'
])

export function classifyFailure({ code, details }: AppError): FailureClass {
  if (code === 'needs_reconnect') return { to: 'needs_reconnect', isAmbiguous: false }
  if (code === 'oauth_misconfigured') return { to: 'misconfigured', isAmbiguous: false }
  // Who says when to come back has done nothing.
  const isRejected =
    code === 'upstream_rate_limited' ||
    code === 'upstream_refused' ||
    (code === 'upstream_failed' && details.retryAfterS !== undefined)
  return { to: 'degraded', isAmbiguous: !isRejected }
}

const INITIAL_BACKOFF_MS = 2_000
/**
 * Old tokens work for ten minutes after an exchange (docs/reference/atlassian.md#31-rotation); this
 * is the latest that leaves time for another.
 */
const AMBIGUOUS_RETRY_WINDOW_MS = 8 * 60_000
/** So that a grant works again five minutes after an outage, and tries often enough while an old token lives. */
const MAX_BACKOFF_MS = 5 * 60_000
/** A wait that Atlassian asks for is waited up to this long. */
const MAX_RETRY_AFTER_MS = 60 * 60_000

/**
 * How long to wait after the `failures`th failure in a row, in milliseconds.
 *
 * @param retryAfterS what Atlassian asked for, in seconds
 * @param random 0 to 1, spreads those who failed together
 */
export function computeBackoffMs(
  failures: number,
  retryAfterS: number | undefined,
  random: number
): number {
  const ownBackoffMs =
    Math.min(INITIAL_BACKOFF_MS * 2 ** Math.min(failures - 1, 20), MAX_BACKOFF_MS) *
    (0.7 + 0.6 * random)
  return Math.max(
    Math.min(ownBackoffMs, MAX_BACKOFF_MS),
    Math.min((retryAfterS ?? 0) * 1000, MAX_RETRY_AFTER_MS)
  )
}

/** A next try further away than any wait there is was written by a clock that is wrong. */
export function isBackingOff(nextTryAt: Date | null, now: number): boolean {
  const remainingMs = nextTryAt === null ? 0 : nextTryAt.getTime() - now
  return remainingMs > 0 && remainingMs <= MAX_RETRY_AFTER_MS
}

/**
 * What is noted after a failure. An exchange that Atlassian may have done all the same is repeated while the old token lives,
 * however long it asks to be left alone: after that the token would be worth nothing.
 *
 * @param ambiguousSince when the first exchange was begun whose end nobody knows; null where there is none
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
