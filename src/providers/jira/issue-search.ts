import { AppError } from '../../lib/errors.ts'
import { isRecord, toStorableText } from '../../lib/json.ts'
import { createAdaptivePager, createInvalidItem, getTextField, parseDate } from '../paging.ts'
import type { CollectionReader, InvalidItem } from '../provider.ts'

/** Maximum ids in one search response (docs/reference/atlassian.md#83-jql-search). */
export const MAX_SEARCH_IDS = 5_000
/** Jira rejects queries without a restriction (docs/reference/atlassian.md#83-jql-search). */
export const ALL_ISSUES_JQL = 'project is not EMPTY'

interface IssueSearchPage {
  ids: Array<{ id: string; updated: Date | null }>
  invalidItems: InvalidItem[]
  isLast: boolean
}

/**
 * Pages by token. Stops with an error if a token repeats, which would loop forever
 * (docs/reference/atlassian.md#83-jql-search).
 */
export async function* searchIssues(
  reader: CollectionReader,
  jql: string,
  fields: string[],
  maxResults: number
): AsyncGenerator<IssueSearchPage> {
  const tokens = new Set<string>()
  const fetchPage = createAdaptivePager(maxResults)
  let token: string | null = null
  do {
    const pageParams: object = token === null ? {} : { nextPageToken: token }
    const response = await fetchPage(
      async (size) =>
        await reader.post('/rest/api/3/search/jql', {
          jql,
          fields,
          maxResults: size,
          ...pageParams
        })
    )
    if (!isRecord(response) || !Array.isArray(response.issues)) {
      throw new AppError(
        'upstream_invalid_answer',
        'Jira returned search results in an unknown format.'
      )
    }
    token = toStorableText(response.nextPageToken)
    if (token !== null && tokens.has(token)) {
      throw new AppError('upstream_invalid_answer', 'Jira returned the same page token twice.')
    }
    if (token !== null) tokens.add(token)
    const hits = response.issues.map((value) =>
      isRecord(value)
        ? {
            id: toStorableText(value.id),
            updated: parseDate(getTextField(value.fields, 'updated'))
          }
        : { id: null, updated: null }
    )
    const ids = hits.filter((each): each is IssueSearchPage['ids'][number] => each.id !== null)
    const invalidItems = hits.slice(ids.length).map(() => createInvalidItem(null, 'It has no id.'))
    yield { ids, invalidItems, isLast: token === null }
  } while (token !== null)
}

export async function countIssues(reader: CollectionReader): Promise<number> {
  const response = await reader.post('/rest/api/3/search/approximate-count', {
    jql: ALL_ISSUES_JQL
  })
  return isRecord(response) ? Number(response.count) || 0 : 0
}
