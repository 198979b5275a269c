import type { AppError, ErrorCode } from '../lib/errors.ts'
import type { Failure, Grant } from '../store/repositories/grants.ts'
import type { GrantState } from '../model/states.ts'

/** A failed refresh, judged (atlassian.md section 2.3). Passing trouble never costs anybody a consent. */
export interface Verdict {
  to: Exclude<GrantState, 'active'>
  /** True where Atlassian may have rotated the tokens all the same, so that the ten minutes of the old ones have begun. */
  unknown: boolean
}

/** Asked for again at once: there was no answer, or none that can be read, and the old token still works (atlassian.md section 3.3). */
export const LOST: ReadonlySet<ErrorCode> = new Set([
  'upstream_timeout',
  'upstream_unreachable',
  'upstream_invalid_answer'
])

export function judge({ code, extras }: AppError): Verdict {
  if (code === 'needs_reconnect') return { to: 'needs_reconnect', unknown: false }
  if (code === 'oauth_misconfigured') return { to: 'misconfigured', unknown: false }
  // Who says when to come back has done nothing.
  const answered =
    code === 'upstream_rate_limited' ||
    code === 'upstream_refused' ||
    (code === 'upstream_failed' && extras.retryAfterS !== undefined)
  return { to: 'degraded', unknown: !answered }
}

const FIRST_WAIT_MS = 2_000
/** Old tokens work for ten minutes after an exchange (atlassian.md section 3.1); this is the latest that leaves time for another. */
const LAST_TRY_MS = 8 * 60_000
/** So that a grant works again five minutes after an outage, and tries often enough while an old token lives. */
const LONGEST_WAIT_MS = 5 * 60_000
/** A wait that Atlassian asks for is waited up to this long. */
const LONGEST_ASKED_MS = 60 * 60_000

/**
 * How long to wait after the `failures`th failure in a row, in milliseconds.
 *
 * @param askedS what Atlassian asked for, in seconds
 * @param chance 0 to 1, spreads those who failed together
 */
export function backoffMs(failures: number, askedS: number | undefined, chance: number): number {
  const own =
    Math.min(FIRST_WAIT_MS * 2 ** Math.min(failures - 1, 20), LONGEST_WAIT_MS) *
    (0.7 + 0.6 * chance)
  return Math.max(Math.min(own, LONGEST_WAIT_MS), Math.min((askedS ?? 0) * 1000, LONGEST_ASKED_MS))
}

/** A next try further away than any wait there is was written by a clock that is wrong. */
export function isWaiting(nextTryAt: Date | null, now: number): boolean {
  const left = nextTryAt === null ? 0 : nextTryAt.getTime() - now
  return left > 0 && left <= LONGEST_ASKED_MS
}

/**
 * What is noted after a failure. An exchange that Atlassian may have done all the same is repeated while the old token lives,
 * however long it asks to be left alone: after that the token would be worth nothing.
 *
 * @param begunAt when the first exchange was begun whose end nobody knows; null where there is none
 */
export function aftermath(
  { failures }: Grant,
  waitMs: number,
  begunAt: number | null,
  now: number
): Failure['set'] & { nextTryAt: Date } {
  const last = begunAt === null ? 0 : begunAt + LAST_TRY_MS
  const nextTryAt = new Date(last > now ? Math.min(now + waitMs, last) : now + waitMs)
  return {
    failures: failures + 1,
    nextTryAt,
    dueAt: nextTryAt,
    attemptAt: begunAt === null ? null : new Date(begunAt)
  }
}
