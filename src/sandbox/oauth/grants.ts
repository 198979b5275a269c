import { randomUUID } from 'node:crypto'

export const LEEWAY_MS = 10 * 60_000
const IDLE_MS = 90 * 86_400_000
const ABSOLUTE_MS = 365 * 86_400_000
const FAMILIES_KEPT = 50
const PAIRS_KEPT = 1000

/** An access token and the refresh token issued with it. They die together. */
export interface Pair {
  id: string
  issuedAt: number
  /** When a newer pair took over; this one works for ten minutes more (atlassian.md 3.1). */
  retiredAt?: number
}

/** Everything that came from one consent by way of refreshes. */
export interface Family {
  id: string
  consentedAt: number
  passwordChanged: boolean
  pairs: Map<string, Pair>
}

/** What one account consented to for one app: scopes are replaced by a new consent, sites accumulate. */
export interface Grant {
  clientId: string
  accountId: string
  scopes: readonly string[]
  cloudIds: Set<string>
  families: Map<string, Family>
}

export type Outcome = 'fresh' | 'unknown' | 'reused' | 'revoked' | 'expired'

export interface Grants {
  consent: (
    clientId: string,
    accountId: string,
    scopes: readonly string[],
    cloudIds: readonly string[]
  ) => Grant
  find: (clientId: string, accountId: string) => Grant | undefined
  all: () => Iterable<Grant>
  /** A new chain of tokens, from a code. */
  start: (grant: Grant) => { family: Family; pair: Pair }
  /** The next pair of a chain, from the refresh token of `pairId`; anything but `fresh` says why not. */
  rotate: (
    grant: Grant,
    familyId: string,
    pairId: string
  ) => { outcome: Outcome; family?: Family; pair?: Pair }
  /** Whether the access token of a pair still works. */
  alive: (grant: Grant, familyId: string, pairId: string) => boolean
  revoke: (match: { clientId?: string; accountId?: string }) => number
  changePassword: (accountId: string) => number
  uninstall: (cloudId: string, clientId?: string) => number
  clear: () => void
  /** Families that died because an old refresh token came back. */
  reuses: () => number
}

export function createGrants(now: () => number): Grants {
  const grants = new Map<string, Grant>()
  let reuses = 0

  const matching = ({ clientId, accountId }: { clientId?: string; accountId?: string }) =>
    [...grants.values()].filter(
      (grant) =>
        (clientId === undefined || grant.clientId === clientId) &&
        (accountId === undefined || grant.accountId === accountId)
    )
  const spent = (pair: Pair) => pair.retiredAt !== undefined && now() >= pair.retiredAt + LEEWAY_MS

  function add(family: Family): Pair {
    for (const [id, old] of family.pairs) {
      old.retiredAt ??= now()
      if (spent(old) || family.pairs.size >= PAIRS_KEPT) family.pairs.delete(id)
    }
    const pair = { id: randomUUID(), issuedAt: now() }
    family.pairs.set(pair.id, pair)
    return pair
  }

  function rotate(
    grant: Grant,
    familyId: string,
    pairId: string
  ): { outcome: Outcome; family?: Family; pair?: Pair } {
    const family = grant.families.get(familyId)
    if (family === undefined || family.passwordChanged) return { outcome: 'revoked' }
    const pair = family.pairs.get(pairId)
    if (pair === undefined || spent(pair)) {
      grant.families.delete(familyId)
      reuses++
      return { outcome: 'reused' }
    }
    if (now() >= pair.issuedAt + IDLE_MS || now() >= family.consentedAt + ABSOLUTE_MS) {
      return { outcome: 'expired' }
    }
    return { outcome: 'fresh', family, pair: add(family) }
  }

  return {
    rotate,
    find: (clientId, accountId) => grants.get(`${clientId} ${accountId}`),
    all: () => grants.values(),
    consent: (clientId, accountId, scopes, cloudIds) => {
      const key = `${clientId} ${accountId}`
      const grant = grants.get(key) ?? {
        clientId,
        accountId,
        scopes,
        cloudIds: new Set<string>(),
        families: new Map<string, Family>()
      }
      grant.scopes = scopes
      for (const cloudId of cloudIds) grant.cloudIds.add(cloudId)
      grants.set(key, grant)
      return grant
    },
    start: (grant) => {
      const family: Family = {
        id: randomUUID(),
        consentedAt: now(),
        passwordChanged: false,
        pairs: new Map()
      }
      grant.families.set(family.id, family)
      if (grant.families.size > FAMILIES_KEPT) grant.families.delete([...grant.families.keys()][0])
      return { family, pair: add(family) }
    },
    alive: (grant, familyId, pairId) => {
      const pair = grant.families.get(familyId)?.pairs.get(pairId)
      return pair !== undefined && !spent(pair)
    },
    revoke: (match) =>
      matching(match).filter(({ clientId, accountId }) => grants.delete(`${clientId} ${accountId}`))
        .length,
    changePassword: (accountId) => {
      const families = matching({ accountId }).flatMap((grant) => [...grant.families.values()])
      for (const family of families) family.passwordChanged = true
      return families.length
    },
    uninstall: (cloudId, clientId) =>
      matching({ clientId }).filter(({ cloudIds }) => cloudIds.delete(cloudId)).length,
    clear: () => {
      grants.clear()
      reuses = 0
    },
    reuses: () => reuses
  }
}
