import { AppError } from '../../lib/errors.ts'
import { isRecord, toStorableText } from '../../lib/json.ts'
import { createAdaptivePager, type AdaptivePager } from '../adaptive-pager.ts'
import { createListingGuard } from '../listing-guard.ts'
import type { CollectionReader, ListingFlaw } from '../provider.ts'

/**
 * Maximum issues in one response, with fields and with ids only
 * (docs/reference/atlassian.md#83-jql-search).
 */
export const MAX_SEARCH_ISSUES = 100
export const MAX_SEARCH_IDS = 5_000
/** Jira rejects queries without a restriction (docs/reference/atlassian.md#83-jql-search). */
export const ALL_ISSUES_JQL = 'project is not EMPTY'

export interface IssueSearchPage {
  values: unknown[]
  isLast: boolean
  flaw: ListingFlaw | undefined
}

/**
 * Pages by token. The search ends where Jira names no token, or where it would go on for ever; a
 * warning means that the result is not complete (docs/reference/atlassian.md#83-jql-search).
 */
export async function* searchIssues(
  reader: CollectionReader,
  jql: string,
  fields: string[],
  pager: AdaptivePager = createAdaptivePager(MAX_SEARCH_ISSUES)
): AsyncGenerator<IssueSearchPage> {
  const guard = createListingGuard()
  let token: string | null = null
  do {
    const pageParams: object = token === null ? {} : { nextPageToken: token }
    const response = await pager.fetch(
      async (size, options) =>
        await reader.post(
          '/rest/api/3/search/jql',
          { jql, fields, maxResults: size, ...pageParams },
          options
        )
    )
    if (!isRecord(response) || !Array.isArray(response.issues)) {
      throw new AppError(
        'upstream_invalid_answer',
        'Jira returned search results in an unknown format.'
      )
    }
    token = toStorableText(response.nextPageToken)
    const endless = guard.check(token, response.issues.length)
    if (endless !== undefined) token = null
    const isWarned = Array.isArray(response.warnings) && response.warnings.length > 0
    yield {
      values: response.issues,
      isLast: token === null,
      flaw: endless ?? (isWarned ? 'truncated' : undefined)
    }
  } while (token !== null)
}

/** Errors that make the count unknown: it is an estimate that nothing depends on. */
const COUNT_ERRORS = [
  'upstream_refused',
  'upstream_failed',
  'upstream_timeout',
  'upstream_unreachable',
  'upstream_invalid_answer'
]

/** Atlassian's estimate, for the progress of a run; null if it is not available. */
export async function countIssues(reader: CollectionReader): Promise<number | null> {
  try {
    const response = await reader.post(
      '/rest/api/3/search/approximate-count',
      { jql: ALL_ISSUES_JQL },
      { maxAttempts: 1 }
    )
    const count = isRecord(response) ? Number(response.count) : NaN
    return Number.isSafeInteger(count) && count >= 0 ? count : null
  } catch (error) {
    if (error instanceof AppError && COUNT_ERRORS.includes(error.code)) return null
    throw error
  }
}
