import { randomUUID } from 'node:crypto'

const ROTATION_GRACE_MS = 10 * 60_000
const REFRESH_IDLE_LIFETIME_MS = 90 * 86_400_000
const REFRESH_MAX_LIFETIME_MS = 365 * 86_400_000
const MAX_FAMILIES = 50
const MAX_PAIRS = 1000

/** Selects the grants of an app, of an account, or of both; without either, all grants. */
interface GrantFilter {
  clientId?: string | undefined
  accountId?: string | undefined
}

/** An access token and the refresh token issued with it. They expire together. */
export interface TokenPair {
  id: string
  issuedAt: number
  /**
   * When the next pair was issued; this one works for another ten minutes
   * (docs/reference/atlassian.md#31-rotation).
   */
  replacedAt?: number
}

/** All token pairs that descend from one consent by refreshes. */
export interface TokenFamily {
  id: string
  consentedAt: number
  passwordChanged: boolean
  pairs: Map<string, TokenPair>
}

/**
 * The consent of one account for one app. A new consent replaces the scopes and adds to the
 * sites.
 */
export interface SandboxGrant {
  clientId: string
  accountId: string
  scopes: readonly string[]
  cloudIds: Set<string>
  families: Map<string, TokenFamily>
}

type RotationOutcome = 'fresh' | 'unknown' | 'reused' | 'revoked' | 'expired'

export interface SandboxGrants {
  recordConsent: (
    clientId: string,
    accountId: string,
    scopes: readonly string[],
    cloudIds: readonly string[]
  ) => SandboxGrant
  find: (clientId: string, accountId: string) => SandboxGrant | undefined
  list: () => Iterable<SandboxGrant>
  /** Starts a token family when a code is exchanged. */
  startFamily: (grant: SandboxGrant) => { family: TokenFamily; pair: TokenPair }
  /**
   * Issues the next pair for the refresh token of `pairId`. Any result other than `fresh` is the
   * reason for the refusal.
   */
  rotate: (
    grant: SandboxGrant,
    familyId: string,
    pairId: string
  ) => { outcome: RotationOutcome; family?: TokenFamily; pair?: TokenPair }
  /** Whether the access token of a pair is valid. */
  isAccessTokenValid: (grant: SandboxGrant, familyId: string, pairId: string) => boolean
  revoke: (match: GrantFilter) => number
  changePassword: (accountId: string) => number
  removeSite: (cloudId: string, clientId?: string) => number
  clear: () => void
  /** Number of families that were revoked because an old refresh token was reused. */
  countReuses: () => number
}

export function createSandboxGrants(now: () => number): SandboxGrants {
  const grants = new Map<string, SandboxGrant>()
  let reuses = 0

  const findMatching = ({ clientId, accountId }: GrantFilter) =>
    [...grants.values()].filter(
      (grant) =>
        (clientId === undefined || grant.clientId === clientId) &&
        (accountId === undefined || grant.accountId === accountId)
    )
  const isSpent = (pair: TokenPair) =>
    pair.replacedAt !== undefined && now() >= pair.replacedAt + ROTATION_GRACE_MS

  function issuePair(family: TokenFamily): TokenPair {
    for (const [id, old] of family.pairs) {
      old.replacedAt ??= now()
      if (isSpent(old) || family.pairs.size >= MAX_PAIRS) family.pairs.delete(id)
    }
    const pair = { id: randomUUID(), issuedAt: now() }
    family.pairs.set(pair.id, pair)
    return pair
  }

  function rotate(
    grant: SandboxGrant,
    familyId: string,
    pairId: string
  ): { outcome: RotationOutcome; family?: TokenFamily; pair?: TokenPair } {
    const family = grant.families.get(familyId)
    if (family === undefined || family.passwordChanged) return { outcome: 'revoked' }
    const pair = family.pairs.get(pairId)
    if (pair === undefined || isSpent(pair)) {
      grant.families.delete(familyId)
      reuses++
      return { outcome: 'reused' }
    }
    if (
      now() >= pair.issuedAt + REFRESH_IDLE_LIFETIME_MS ||
      now() >= family.consentedAt + REFRESH_MAX_LIFETIME_MS
    ) {
      return { outcome: 'expired' }
    }
    return { outcome: 'fresh', family, pair: issuePair(family) }
  }

  return {
    rotate,
    find: (clientId, accountId) => grants.get(`${clientId} ${accountId}`),
    list: () => grants.values(),
    recordConsent: (clientId, accountId, scopes, cloudIds) => {
      const key = `${clientId} ${accountId}`
      const grant = grants.get(key) ?? {
        clientId,
        accountId,
        scopes,
        cloudIds: new Set<string>(),
        families: new Map<string, TokenFamily>()
      }
      grant.scopes = scopes
      for (const cloudId of cloudIds) grant.cloudIds.add(cloudId)
      grants.set(key, grant)
      return grant
    },
    startFamily: (grant) => {
      const family: TokenFamily = {
        id: randomUUID(),
        consentedAt: now(),
        passwordChanged: false,
        pairs: new Map()
      }
      grant.families.set(family.id, family)
      const [oldest] = grant.families.keys()
      if (grant.families.size > MAX_FAMILIES && oldest !== undefined) grant.families.delete(oldest)
      return { family, pair: issuePair(family) }
    },
    isAccessTokenValid: (grant, familyId, pairId) => {
      const pair = grant.families.get(familyId)?.pairs.get(pairId)
      return pair !== undefined && !isSpent(pair)
    },
    revoke: (match) =>
      findMatching(match).filter(({ clientId, accountId }) =>
        grants.delete(`${clientId} ${accountId}`)
      ).length,
    changePassword: (accountId) => {
      const families = findMatching({ accountId }).flatMap((grant) => [...grant.families.values()])
      for (const family of families) family.passwordChanged = true
      return families.length
    },
    removeSite: (cloudId, clientId) =>
      findMatching({ clientId }).filter(({ cloudIds }) => cloudIds.delete(cloudId)).length,
    clear: () => {
      grants.clear()
      reuses = 0
    },
    countReuses: () => reuses
  }
}
