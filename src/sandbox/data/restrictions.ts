import { COLLECTIONS } from './collections.ts'
import type { Collection } from './collections.ts'

/** What somebody may not see of a site. A set answers for each item, so that long lists stay fast. */
export interface Hidden {
  has: (collection: Collection, position: number) => boolean
  /** Whether there is anything of the kind. */
  some: (collection: Collection) => boolean
}

export interface Restrictions {
  /** For one account, or for everybody when none is named; what is opened to everybody is open to each. */
  set: (collection: Collection, position: number, restricted: boolean, accountId?: string) => void
  /** Undefined when nothing is hidden from the account, so that nothing has to be looked up either. */
  of: (accountId: string) => Hidden | undefined
}

type Positions = Record<Collection, Set<number>>

const EVERYBODY = ''

/** Items of one site, by position, that are as good as absent to an account (atlassian.md section 11). */
export function createRestrictions(): Restrictions {
  const byAccount = new Map<string, Positions>()

  function of(accountId: string): Hidden | undefined {
    const lists = [byAccount.get(EVERYBODY), byAccount.get(accountId)].filter(
      (positions) => positions !== undefined
    )
    if (lists.length === 0) return undefined
    return {
      has: (collection, position) => lists.some((positions) => positions[collection].has(position)),
      some: (collection) => lists.some((positions) => positions[collection].size > 0)
    }
  }

  function hide(collection: Collection, position: number, accountId: string) {
    const positions =
      byAccount.get(accountId) ??
      (Object.fromEntries(COLLECTIONS.map((name) => [name, new Set()])) as Positions)
    positions[collection].add(position)
    byAccount.set(accountId, positions)
  }

  function open(collection: Collection, position: number, accountId: string) {
    const positions = byAccount.get(accountId)
    if (positions === undefined) return
    positions[collection].delete(position)
    if (COLLECTIONS.every((name) => positions[name].size === 0)) byAccount.delete(accountId)
  }

  return {
    of,
    set: (collection, position, restricted, accountId = EVERYBODY) => {
      if (restricted) hide(collection, position, accountId)
      else {
        for (const account of accountId === EVERYBODY ? [...byAccount.keys()] : [accountId]) {
          open(collection, position, account)
        }
      }
    }
  }
}
