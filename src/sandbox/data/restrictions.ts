import { COLLECTIONS } from './collections.ts'
import type { CollectionName } from './collections.ts'

/** What somebody may not see of a site. A set answers for each item, so that long lists stay fast. */
export interface HiddenItems {
  has: (collection: CollectionName, position: number) => boolean
  /** Whether there is anything of the kind. */
  hasAny: (collection: CollectionName) => boolean
}

export interface Restrictions {
  /** For one account, or for everybody when none is named; what is opened to everybody is open to each. */
  set: (
    collection: CollectionName,
    position: number,
    restricted: boolean,
    accountId?: string
  ) => void
  /** Undefined when nothing is hidden from the account, so that nothing has to be looked up either. */
  forAccount: (accountId: string) => HiddenItems | undefined
}

type PositionsByCollection = Record<CollectionName, Set<number>>

const ALL_ACCOUNTS = ''

/**
 * Items of one site, by position, that are as good as absent to an account
 * (docs/reference/atlassian.md#11-errors).
 */
export function createRestrictions(): Restrictions {
  const byAccount = new Map<string, PositionsByCollection>()

  function forAccount(accountId: string): HiddenItems | undefined {
    const applicable = [byAccount.get(ALL_ACCOUNTS), byAccount.get(accountId)].filter(
      (positions) => positions !== undefined
    )
    if (applicable.length === 0) return undefined
    return {
      has: (collection, position) =>
        applicable.some((positions) => positions[collection].has(position)),
      hasAny: (collection) => applicable.some((positions) => positions[collection].size > 0)
    }
  }

  function hideItem(collection: CollectionName, position: number, accountId: string) {
    const positions =
      byAccount.get(accountId) ??
      (Object.fromEntries(COLLECTIONS.map((name) => [name, new Set()])) as PositionsByCollection)
    positions[collection].add(position)
    byAccount.set(accountId, positions)
  }

  function showItem(collection: CollectionName, position: number, accountId: string) {
    const positions = byAccount.get(accountId)
    if (positions === undefined) return
    positions[collection].delete(position)
    if (COLLECTIONS.every((name) => positions[name].size === 0)) byAccount.delete(accountId)
  }

  return {
    forAccount,
    set: (collection, position, restricted, accountId = ALL_ACCOUNTS) => {
      if (restricted) hideItem(collection, position, accountId)
      else {
        for (const account of accountId === ALL_ACCOUNTS ? [...byAccount.keys()] : [accountId]) {
          showItem(collection, position, account)
        }
      }
    }
  }
}
