import { AppError, type ErrorCode } from '../lib/errors.ts'
import type { Grant } from '../store/repositories/grants.ts'
import { isWaiting } from './refresh-policy.ts'

/** What a caller needs of a token. */
export interface Need {
  /** Milliseconds that it has to be valid for at least. */
  minValidity: number
  /** One that Atlassian has just turned down: if it is still the stored one, it is replaced. */
  refused?: string | undefined
}

/**
 * What can be done for a caller with a grant as it is stored.
 *
 * - `use`: its token is good.
 * - `renew`: it should be refreshed; `token` still works if that fails.
 * - `refuse`: nothing can be done now.
 */
export type Outlook =
  | { kind: 'use'; token: string }
  | { kind: 'renew'; token: string | undefined }
  | { kind: 'refuse'; error: AppError }

const MINUTE_MS = 60_000
const EARLY_MS = 5 * MINUTE_MS
const JITTER_MS = MINUTE_MS

/**
 * How long before its end a token is replaced: five minutes, a minute more or less. The same in every process for the same
 * token, another one for each, so that grants that were made together are not refreshed together.
 */
export function earlyMs({ id, version }: Pick<Grant, 'id' | 'version'>): number {
  const spread = (Number.parseInt(id.slice(0, 8), 16) + version * 2_654_435_761) % (2 * JITTER_MS)
  return EARLY_MS - JITTER_MS + (Number.isNaN(spread) ? JITTER_MS : spread)
}

/** @param token the stored access token, opened */
export function outlook(
  grant: Grant,
  token: string,
  { minValidity, refused }: Need,
  now: number
): Outlook {
  const left = grant.accessExpiresAt.getTime() - now
  // Nobody gets more than there is: a token that lives for four minutes is not replaced at each call.
  const life = grant.accessExpiresAt.getTime() - (grant.rotatedAt ?? grant.consentedAt).getTime()
  const works = token !== refused && left >= Math.min(minValidity, life / 2)
  const isDue = grant.dueAt !== null && grant.dueAt.getTime() <= now
  if (works && left >= Math.min(earlyMs(grant), life / 4) && !isDue) return { kind: 'use', token }
  if (grant.refreshToken !== null && !isWaiting(grant.nextTryAt, now)) {
    return { kind: 'renew', token: works ? token : undefined }
  }
  if (works) return { kind: 'use', token }
  return {
    kind: 'refuse',
    error: grant.refreshToken === null ? noOfflineAccess() : stillFailing(grant, now)
  }
}

/** Without `offline_access` there is nothing to refresh with. */
export function noOfflineAccess(): AppError {
  return new AppError(
    'needs_reconnect',
    'This connection has expired and was made without offline access. Connect again.'
  )
}

function stillFailing({ errorCode, errorDetail, nextTryAt }: Grant, now: number): AppError {
  return new AppError(
    errorCode as ErrorCode,
    errorDetail ?? 'Atlassian cannot be asked at the moment.',
    { retryAfterS: Math.ceil(((nextTryAt?.getTime() ?? now) - now) / 1000) }
  )
}
