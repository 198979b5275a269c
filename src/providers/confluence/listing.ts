import { AppError } from '../../lib/errors.ts'
import { isRecord, toStorableText } from '../../lib/json.ts'
import { createAdaptivePager, createFailedItem, isDivisibleFailure } from '../adaptive-pager.ts'
import { createListingGuard } from '../listing-guard.ts'
import type { CallOptions, CollectionReader, InvalidItem, ListingFlaw } from '../provider.ts'

export const MAX_PAGE_SIZE = 250
/** Marks the position of a listing that is read from its end. */
const BACKWARD = 'backward:'

type Query = Record<string, string>

/** A listing that can be read from both ends. */
export interface TwoWayListing {
  path: string
  forward: Query
  backward: Query
  /** The query of a page that contains only this item. */
  findById: (id: string) => Query
  getId: (value: unknown) => string | null
  /** A query that returns less of each item, to name one that cannot be read. */
  forwardLight?: Query
}

export interface ListPage {
  results: unknown[]
  /** Items that Confluence fails to deliver. */
  failedItems: InvalidItem[]
  /** Where the listing continues; null at its end. */
  next: string | null
  flaw?: ListingFlaw | undefined
  isRestart?: true
  isBackward: boolean
}

/**
 * Reads a listing page by page (docs/reference/atlassian.md#91-pages, #92-spaces and
 * #94-cql-search). It ends when the response has no next link. A cursor cannot pass an item whose
 * page fails, so the rest of the listing is then read from its end.
 *
 * @param position where the listing continues; null for the beginning
 */
export async function* fetchListPages(
  reader: CollectionReader,
  listing: TwoWayListing,
  position: string | null,
  maxPageSize = MAX_PAGE_SIZE
): AsyncGenerator<ListPage> {
  const pager = createAdaptivePager(maxPageSize)
  let isBackward = position?.startsWith(BACKWARD) === true
  let cursor = (isBackward ? position?.slice(BACKWARD.length) : position) || null
  let guard = createListingGuard(cursor)
  let hasReadBackward = isBackward && cursor !== null
  let lastId: string | null = null
  const fetchPage = async (query: Query, size: number, options: CallOptions) =>
    parseListPage(
      await reader.get(
        listing.path,
        { ...query, limit: String(size), ...(cursor === null ? {} : { cursor }) },
        options
      )
    )
  const toPosition = (next: string | null) => (isBackward ? BACKWARD : '') + (next ?? '')
  while (true) {
    let page: ParsedPage
    let failedItems: InvalidItem[] = []
    try {
      page = await pager.fetch(
        async (size, options) =>
          await fetchPage(isBackward ? listing.backward : listing.forward, size, options)
      )
    } catch (error) {
      if (cursor !== null && pager.restart(error)) {
        cursor = null
        guard = createListingGuard()
        yield {
          results: [],
          failedItems,
          next: toPosition(null),
          isBackward,
          ...(isBackward ? {} : { isRestart: true as const })
        }
        continue
      }
      if (!isDivisibleFailure(error)) throw error
      pager.recordFailedItem()
      const light = isBackward ? undefined : await readLightly(listing, fetchPage)
      if (light === undefined && !isBackward) {
        isBackward = true
        cursor = null
        guard = createListingGuard()
        continue
      }
      if (light === undefined) {
        if (!hasReadBackward && !(await canRead(reader, listing, lastId))) throw error
        failedItems = [createFailedItem(null, 'Atlassian fails to deliver it; its id is unknown.')]
        yield { results: [], failedItems, next: null, isBackward }
        return
      }
      page = { results: [], next: light.next }
      failedItems = light.results.map((value) => createFailedItem(listing.getId(value)))
    }
    hasReadBackward ||= isBackward
    lastId = page.results.map(listing.getId).findLast((id) => id !== null) ?? lastId
    const flaw = guard.check(page.next, page.results.length + failedItems.length)
    cursor = flaw === undefined ? page.next : null
    yield {
      results: page.results,
      failedItems,
      next: cursor === null ? null : toPosition(cursor),
      flaw,
      isBackward
    }
    if (cursor === null) return
  }
}

/** The page of one item without what makes it fail; undefined if that fails as well. */
async function readLightly(
  { forwardLight }: TwoWayListing,
  fetchPage: (query: Query, size: number, options: CallOptions) => Promise<ParsedPage>
): Promise<ParsedPage | undefined> {
  if (forwardLight === undefined) return undefined
  return await ignoreDivisible(fetchPage(forwardLight, 1, { maxAttempts: 1 }))
}

/** Whether Confluence answers at all: it returns an item that it has returned before. */
async function canRead(
  reader: CollectionReader,
  listing: TwoWayListing,
  id: string | null
): Promise<boolean> {
  if (id === null) return false
  const query = { ...listing.findById(id), limit: '1' }
  return (await ignoreDivisible(reader.get(listing.path, query, { maxAttempts: 1 }))) !== undefined
}

async function ignoreDivisible<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request
  } catch (error) {
    if (isDivisibleFailure(error)) return undefined
    throw error
  }
}

/**
 * Reads a short list that is filtered by ids, to its end.
 *
 * @throws AppError if the list has no end
 */
export async function fetchWholeList(
  reader: CollectionReader,
  path: string,
  query: Query,
  options: CallOptions
): Promise<unknown[]> {
  const values: unknown[] = []
  const guard = createListingGuard()
  let cursor: string | null = null
  do {
    const pageParams: Query = cursor === null ? {} : { cursor }
    const page: ParsedPage = parseListPage(
      await reader.get(path, { ...query, ...pageParams }, options)
    )
    values.push(...page.results)
    cursor = page.next
    if (guard.check(cursor, page.results.length) !== undefined) {
      throw new AppError('upstream_invalid_answer', 'Confluence returned a list without an end.')
    }
  } while (cursor !== null)
  return values
}

interface ParsedPage {
  results: unknown[]
  next: string | null
}

/**
 * Reads only the cursor from the next link. The link is relative, and the cursor's position
 * among its parameters is not defined.
 */
function parseListPage(response: unknown): ParsedPage {
  if (!isRecord(response) || !Array.isArray(response.results)) {
    throw new AppError(
      'upstream_invalid_answer',
      'Confluence returned a list in an unknown format.'
    )
  }
  const link = isRecord(response._links) ? toStorableText(response._links.next) : null
  return {
    results: response.results,
    next:
      link === null
        ? null
        : (URL.parse(link, 'https://site.invalid')?.searchParams.get('cursor') ?? null)
  }
}
