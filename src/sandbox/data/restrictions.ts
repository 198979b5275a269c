import { COLLECTIONS } from './collections.ts'
import type { CollectionName } from './collections.ts'

/**
 * The items of a site that an account may not see. A set gives each answer in constant time,
 * which long lists need.
 */
export interface HiddenItems {
  has: (collection: CollectionName, position: number) => boolean
  /** Whether any item of the collection is hidden. */
  hasAny: (collection: CollectionName) => boolean
}

export interface Restrictions {
  /**
   * Hides or shows an item for one account, or for everybody if none is given. Showing it to
   * everybody removes the restrictions of each account.
   */
  set: (
    collection: CollectionName,
    position: number,
    restricted: boolean,
    accountId?: string
  ) => void
  /** Undefined if nothing is hidden from the account, so that lists can skip the lookups. */
  forAccount: (accountId: string) => HiddenItems | undefined
}

type PositionsByCollection = Record<CollectionName, Set<number>>

const ALL_ACCOUNTS = ''

/**
 * Items of one site, by position, that an account cannot tell from absent ones
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
