import { AppError, type ErrorCode } from '../lib/errors.ts'
import type { Grant } from '../store/repositories/grants.ts'
import { isBackingOff } from './refresh-policy.ts'

/** What a caller requires of a token. */
export interface TokenRequirements {
  /** Minimum remaining validity in ms. */
  minValidityMs: number
  /** A token that Atlassian has just rejected: if it is still the stored one, it is replaced. */
  rejectedToken?: string | undefined
}

/**
 * What can be done for a caller with a grant as it is stored.
 *
 * - `use`: its token is good.
 * - `refresh`: it should be refreshed; `token` still works if that fails.
 * - `refuse`: nothing can be done now.
 */
export type TokenDecision =
  | { kind: 'use'; token: string }
  | { kind: 'refresh'; token: string | undefined }
  | { kind: 'refuse'; error: AppError }

const MINUTE_MS = 60_000
const REFRESH_LEAD_MS = 5 * MINUTE_MS
const REFRESH_LEAD_JITTER_MS = MINUTE_MS

/**
 * How long before its expiry a token is refreshed: five minutes plus or minus one. The value is
 * the same in every process for one token and differs between tokens, so that grants made
 * together are not refreshed together.
 */
export function computeRefreshLeadMs({ id, version }: Pick<Grant, 'id' | 'version'>): number {
  const jitterMs =
    (Number.parseInt(id.slice(0, 8), 16) + version * 2_654_435_761) % (2 * REFRESH_LEAD_JITTER_MS)
  return (
    REFRESH_LEAD_MS -
    REFRESH_LEAD_JITTER_MS +
    (Number.isNaN(jitterMs) ? REFRESH_LEAD_JITTER_MS : jitterMs)
  )
}

/** @param token the stored access token, decrypted */
export function decideToken(
  grant: Grant,
  token: string,
  { minValidityMs, rejectedToken }: TokenRequirements,
  now: number
): TokenDecision {
  const remainingMs = grant.accessExpiresAt.getTime() - now
  // Capped by the token's lifetime: a token that lives four minutes is not refreshed at every
  // call.
  const lifetimeMs =
    grant.accessExpiresAt.getTime() - (grant.rotatedAt ?? grant.consentedAt).getTime()
  const isUsable = token !== rejectedToken && remainingMs >= Math.min(minValidityMs, lifetimeMs / 2)
  const isDue = grant.dueAt !== null && grant.dueAt.getTime() <= now
  if (isUsable && remainingMs >= Math.min(computeRefreshLeadMs(grant), lifetimeMs / 4) && !isDue) {
    return { kind: 'use', token }
  }
  if (grant.refreshToken !== null && !isBackingOff(grant.nextTryAt, now)) {
    return { kind: 'refresh', token: isUsable ? token : undefined }
  }
  if (isUsable) return { kind: 'use', token }
  return {
    kind: 'refuse',
    error:
      grant.refreshToken === null ? noOfflineAccessError() : refreshUnavailableError(grant, now)
  }
}

/** Without `offline_access` there is no refresh token. */
export function noOfflineAccessError(): AppError {
  return new AppError(
    'needs_reconnect',
    'This connection has expired and was made without offline_access. Connect again.'
  )
}

function refreshUnavailableError(
  { errorCode, errorDetail, nextTryAt }: Grant,
  now: number
): AppError {
  return new AppError(
    errorCode as ErrorCode,
    errorDetail ?? 'Atlassian cannot be reached at the moment.',
    { retryAfterS: Math.ceil(((nextTryAt?.getTime() ?? now) - now) / 1000) }
  )
}
