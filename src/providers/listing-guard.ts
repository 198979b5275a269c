import type { ListingFlaw } from './provider.ts'

/** Empty pages in a row, each of which names a next page. */
const MAX_EMPTY_PAGES = 5

/**
 * Notices a listing that would go on for ever: it names a cursor that it named before, or returns
 * nothing but empty pages (docs/reference/atlassian.md#83-jql-search, #91-pages, #94-cql-search).
 */
export function createListingGuard(firstCursor: string | null = null) {
  const cursors = new Set(firstCursor === null ? [] : [firstCursor])
  let emptyPageCount = 0
  return {
    /** @returns why the listing has to end after this page; undefined if it can go on */
    check(next: string | null, itemCount: number): ListingFlaw | undefined {
      if (next === null) return undefined
      if (cursors.has(next)) return 'repeated'
      cursors.add(next)
      emptyPageCount = itemCount === 0 ? emptyPageCount + 1 : 0
      return emptyPageCount > MAX_EMPTY_PAGES ? 'empty_pages' : undefined
    }
  }
}
