import { AppError } from '../lib/errors.ts'
import type { Logger } from '../lib/http-client.ts'
import type { Store } from '../store/index.ts'
import type { Grant, RefreshAttempt } from '../store/repositories/grants.ts'
import { logStateChanges } from './log-state-change.ts'
import { classifyFailure, computeRefreshDelayMs, planNextAttempt } from './refresh-policy.ts'
import { noOfflineAccessError } from './token-decision.ts'

export interface FailedRefresh {
  grant: Grant
  attempt: RefreshAttempt
  error: unknown
  /** When the first exchange with an unknown outcome started; null if there is none. */
  ambiguousSince: number | null
  /** The stored access token, if it still works. */
  usableToken: string | undefined
  startedAt: number
}

/**
 * Stores and logs a failed refresh, and when to try again.
 *
 * @returns the stored access token if it still works; undefined if another process has changed
 *   the grant, which has to be read again
 * @throws AppError if no token works
 */
export async function recordRefreshFailure(
  { store: { grants }, now }: { store: Store; now: () => number },
  { grant, attempt, error, ambiguousSince, usableToken, startedAt }: FailedRefresh,
  log: Logger
): Promise<string | undefined> {
  const failure =
    error instanceof AppError
      ? error
      : new AppError('internal_error', 'Internal Server Error', { cause: error })
  const { to, isAmbiguous } = classifyFailure(failure)
  const reason = { code: failure.code, detail: failure.message }
  const isFinal = to === 'needs_reconnect'
  const nextAttempt = planNextAttempt(
    grant,
    computeRefreshDelayMs(grant.failures + 1, failure.details.retryAfterS),
    ambiguousSince ?? (isAmbiguous ? startedAt : null),
    now()
  )
  const { done, changes } = await grants.saveFailure(attempt, {
    to,
    reason,
    set: isFinal ? { failures: 0, nextTryAt: null, attemptAt: null, dueAt: null } : nextAttempt
  })
  if (!done) return undefined
  logStateChanges(changes, log)
  if (to === 'misconfigured') {
    logStateChanges(
      await grants.markClientMisconfigured(grant.clientId, reason, nextAttempt.nextTryAt, grant.id),
      log
    )
  }
  log.warn(
    {
      event: 'grant_refresh_error',
      grant_id: grant.id,
      error_code: failure.code,
      next_try_at: isFinal ? null : nextAttempt.nextTryAt,
      err: error
    },
    failure.message
  )
  if (isFinal) throw failure
  if (usableToken !== undefined) return usableToken
  throw new AppError(failure.code, failure.message, {
    cause: error,
    retryAfterS: Math.ceil((nextAttempt.nextTryAt.getTime() - now()) / 1000)
  })
}

/**
 * Changes a grant without a refresh token to `needs_reconnect`; others are left unchanged.
 *
 * @returns `error`, for the caller to throw
 */
export async function recordMissingRefreshToken(
  { grants }: Store,
  grant: Grant,
  error: AppError,
  log: Logger
): Promise<AppError> {
  if (grant.refreshToken === null) {
    logStateChanges(
      (
        await grants.changeState(grant.id, grant.version, 'needs_reconnect', {
          code: error.code,
          detail: noOfflineAccessError().message
        })
      ).changes,
      log
    )
  }
  return error
}
