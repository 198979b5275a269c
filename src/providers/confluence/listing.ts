import { AppError } from '../../lib/errors.ts'
import { isRecord, toStorableText } from '../../lib/json.ts'
import type { CollectionReader } from '../provider.ts'
import { createAdaptivePager } from '../paging.ts'

const MAX_PAGE_SIZE = 250

export interface ListPage {
  results: unknown[]
  next: string | null
}

/**
 * Reads a v2 listing page by page (docs/reference/atlassian.md#91-pages and #92-spaces). The
 * listing ends when the response has no next link.
 *
 * @param cursor where the listing continues; null for the beginning
 */
export async function* fetchListPages(
  reader: CollectionReader,
  path: string,
  query: Record<string, string>,
  cursor: string | null,
  maxPageSize = MAX_PAGE_SIZE
): AsyncGenerator<ListPage> {
  const fetchPage = createAdaptivePager(maxPageSize)
  let next = cursor
  do {
    const currentCursor = next
    const listPage = parseListPage(
      await fetchPage(
        async (size) =>
          await reader.get(path, {
            ...query,
            limit: String(size),
            ...(currentCursor === null ? {} : { cursor: currentCursor })
          })
      )
    )
    if (listPage.next !== null && listPage.next === currentCursor) {
      throw new AppError('upstream_invalid_answer', 'Confluence returned the same cursor twice.')
    }
    next = listPage.next
    yield listPage
  } while (next !== null)
}

/**
 * Reads only the cursor from the next link. The link is relative, and the cursor's position
 * among its parameters is not defined.
 */
export function parseListPage(response: unknown): ListPage {
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
