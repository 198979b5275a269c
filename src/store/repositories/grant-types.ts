import type { ErrorCode } from '../../lib/errors.ts'
import type { Site } from '../../model/site.ts'
import type { ConnectionState, GrantState, LocalState } from '../../model/states.ts'
import type { StateReason } from './connection-history.ts'
import type { EncryptedTokens } from './encrypted-tokens.ts'

/**
 * One consent: the token pair of one Atlassian account at one client. All connections of that
 * account use it. drizzle/connections.ts describes the columns.
 */
export interface Grant extends EncryptedTokens {
  id: string
  clientId: string
  accountId: string
  scopes: string
  state: GrantState
  errorCode: ErrorCode | null
  errorDetail: string | null
  accessExpiresAt: Date
  previousUntil: Date | null
  consentedAt: Date
  rotatedAt: Date | null
  attemptAt: Date | null
  dueAt: Date | null
  failures: number
  nextTryAt: Date | null
  warnedDays: number | null
  version: number
}

/** The result of a refresh. */
export type RefreshedTokens = EncryptedTokens &
  Pick<Grant, 'accessExpiresAt' | 'previousUntil' | 'rotatedAt' | 'dueAt' | 'scopes'>

/** The result of a consent. */
export type NewGrant = EncryptedTokens &
  Pick<Grant, 'id' | 'clientId' | 'accountId' | 'scopes' | 'accessExpiresAt' | 'dueAt'>

/** The user who gave the consent, their connection, and its earlier state. */
export interface NewConnection {
  userId: number
  provider: string
  sites: Site[]
  selectedSites: Site[]
  state: LocalState
  reason: StateReason | null
  /** The account's address is not the user's; noted in the audit trail. */
  emailDiffers?: boolean
  before: { grantId: string; state: ConnectionState | null } | null
}

/** What to store after a failed refresh. */
export interface RefreshFailure {
  to: GrantState
  reason: StateReason
  set: Partial<Pick<Grant, 'failures' | 'nextTryAt' | 'attemptAt' | 'dueAt'>>
}

/** A refresh in progress: the version of the pair that it replaces, and the owner of its lease. */
export interface RefreshAttempt {
  id: string
  version: number
  owner: string
}

/** The state columns of a grant whose tokens work. */
export const HEALTHY_STATE = {
  state: 'active',
  errorCode: null,
  errorDetail: null,
  failures: 0,
  nextTryAt: null,
  attemptAt: null
} as const
