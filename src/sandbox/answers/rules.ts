import { hash } from '../data/hash.ts'
import type { CollectionName } from '../data/collections.ts'
import type { Row } from '../data/row.ts'
import { createCursorFaults } from './cursor-faults.ts'
import type { CursorFaults } from './cursor-faults.ts'

export const REPEAT_TOKENS = ['same', 'alternating'] as const
export const EMPTY_PAGE_CURSORS = ['same', 'alternating', 'new'] as const
export const LARGE_PAGE_STATUSES = [500, 502, 503, 504, 'timeout', 'cut-json'] as const
export const DEAD_TOKENS = ['seraph', 'silent'] as const
export const ACCOUNT_HEADERS = ['right', 'absent', 'other'] as const
export const RATE_HEADERS = ['none', 'policies', 'beta'] as const
export const RATE_VARIANTS = ['tenant', 'global', 'both'] as const
export const BULK_LIMITS = [100, 1000] as const

export interface SearchWarning {
  type: string
  message: string
}

/** Items that complete listings leave out, although reads by id find them. */
export interface ListOmission {
  collection: CollectionName
  /** A share of the collection from 0 to 1, the same items in each listing. */
  share?: number | undefined
  ids?: readonly string[] | undefined
  /** How many listings it affects. */
  listings: number
}

/**
 * How one site deviates from a plain Atlassian site. Members without a default are off when
 * undefined or empty. docs/sandbox.md describes each of them by its JSON name.
 */
export interface AnswerRules {
  issueErrors: ReadonlySet<string>
  searchWarnings: readonly SearchWarning[]
  truncateAt: number | undefined
  listOmits: readonly ListOmission[]
  repeatTokens: (typeof REPEAT_TOKENS)[number] | undefined
  /** `count` may be infinite. */
  emptyPages: { count: number; cursors: (typeof EMPTY_PAGE_CURSORS)[number] } | undefined
  largePages:
    | { above: number; status: (typeof LARGE_PAGE_STATUSES)[number]; cursorBound: boolean }
    | undefined
  failingItems: ReadonlySet<string>
  count: { factor?: number; status?: number }
  deadToken: (typeof DEAD_TOKENS)[number] | undefined
  accountHeader: (typeof ACCOUNT_HEADERS)[number]
  liveDocs: ReadonlySet<string>
  deprecated: ReadonlyArray<{ path: string; sunset?: string | undefined }>
  rateHeaders: (typeof RATE_HEADERS)[number]
  rateVariant: (typeof RATE_VARIANTS)[number]
  bulkLimit: (typeof BULK_LIMITS)[number]
}

export const PLAIN_RULES: AnswerRules = {
  issueErrors: new Set(),
  searchWarnings: [],
  truncateAt: undefined,
  listOmits: [],
  repeatTokens: undefined,
  emptyPages: undefined,
  largePages: undefined,
  failingItems: new Set(),
  count: {},
  deadToken: undefined,
  accountHeader: 'right',
  liveDocs: new Set(),
  deprecated: [],
  rateHeaders: 'policies',
  rateVariant: 'global',
  bulkLimit: 100
}

/** The answer rules of one site, and what they have to remember between calls. */
export interface SiteAnswers {
  rules: () => AnswerRules
  /** The JSON that the rules were made from. */
  source: () => object
  /** Replaces all rules; counts of listings and cursors begin again. */
  replace: (rules: AnswerRules, source: object) => void
  cursorFaults: CursorFaults
  /** Call it on the first page of each complete listing. */
  startListing: (collection: CollectionName) => void
  /** Whether the current listing leaves out the item. */
  isOmitted: (collection: CollectionName, row: Row & { id: string }) => boolean
}

const HASH_RANGE = 2 ** 32

export function createSiteAnswers(seed: number): SiteAnswers {
  let rules = PLAIN_RULES
  let source: object = {}
  const cursorFaults = createCursorFaults()
  const startedListings = new Map<CollectionName, number>()

  return {
    cursorFaults,
    rules: () => rules,
    source: () => source,
    replace: (newRules, newSource) => {
      rules = newRules
      source = newSource
      cursorFaults.clear()
      startedListings.clear()
    },
    startListing: (collection) => {
      startedListings.set(collection, (startedListings.get(collection) ?? 0) + 1)
    },
    isOmitted: (collection, { id, position }) =>
      rules.listOmits.some(
        (omission) =>
          omission.collection === collection &&
          (startedListings.get(collection) ?? 0) <= omission.listings &&
          (omission.ids?.includes(id) === true ||
            hash(seed, 160, position) / HASH_RANGE < (omission.share ?? 0))
      )
  }
}
