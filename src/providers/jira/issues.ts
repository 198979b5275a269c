import { Type } from '@sinclair/typebox'
import { AppError } from '../../lib/errors.ts'
import { Nullable } from '../../lib/typebox.ts'
import type { Item, ItemTableShape } from '../../model/items.ts'
import { isRecord, toStorableText } from '../../lib/json.ts'
import type { ItemBatch, Collection, CollectionReader } from '../provider.ts'
import {
  formatRelativeBound,
  createPageChain,
  parseDate,
  isId,
  checkExists,
  parseItems,
  getTextField,
  createAdaptivePager,
  describeTooLongText,
  createInvalidItem
} from '../paging.ts'
import { ALL_ISSUES_JQL, countIssues, MAX_SEARCH_IDS, searchIssues } from './issue-search.ts'

type IssueBatch = ItemBatch<Item<typeof table>>

/** Maximum ids in one bulk fetch (docs/reference/atlassian.md#87-bulk-fetch). */
const FETCH_BATCH_SIZE = 100
const ISSUE_FIELDS = ['summary', 'status', 'issuetype', 'project', 'assignee', 'created', 'updated']
/** Atlassian's count is an estimate. A listing with less than this share of it is incomplete. */
const MIN_COMPLETE_RATIO = 0.95
const COUNT_TOLERANCE = 5

const table = {
  name: 'issues',
  columns: {
    issueId: { kind: 'text' },
    key: { kind: 'ordered' },
    projectKey: { kind: 'text' },
    summary: { kind: 'text' },
    status: { kind: 'text', isNullable: true },
    issueType: { kind: 'text', isNullable: true },
    assignee: { kind: 'text', isNullable: true },
    remoteCreatedAt: { kind: 'instant', isNullable: true }
  },
  sortBy: 'key',
  filterBy: { column: 'projectKey', parameter: 'project' },
  searchBy: ['key', 'summary']
} as const satisfies ItemTableShape

export const issues: Collection<typeof table> = {
  name: 'issues',
  table,
  responseFields: {
    issue_id: Type.String({ example: '10042' }),
    key: Type.String({ example: 'PAY-7' }),
    project_key: Type.String({ example: 'PAY' }),
    summary: Type.String({ example: 'Retry on 502' }),
    status: Nullable(Type.String({ example: 'In Progress' })),
    issue_type: Nullable(Type.String({ example: 'Bug' })),
    assignee: Nullable(Type.String({ example: 'Dana Fox' })),
    created_at: Nullable(
      Type.String({ description: 'ISO 8601, UTC', example: '2026-05-01T09:00:00.000Z' })
    ),
    url: Nullable(Type.String({ example: 'https://acme.atlassian.net/browse/PAY-7' }))
  },
  toResponse: ({
    issueId,
    key,
    projectKey,
    summary,
    status,
    issueType,
    assignee,
    remoteCreatedAt,
    url
  }) => ({
    issue_id: issueId,
    key,
    project_key: projectKey,
    summary,
    status,
    issue_type: issueType,
    assignee,
    created_at: remoteCreatedAt?.toISOString() ?? null,
    url
  }),
  parentFilter: { description: 'The key of their project', example: 'PAY' },

  /**
   * Searches ids in order of creation, then fetches issues in batches. The cursor is the
   * creation time of the last issue. A page chain has a maximum length and its tokens expire, so
   * the listing starts a new chain from the cursor and skips issues that it has already read.
   */
  async *list(reader, cursor) {
    const expected = await countIssues(reader)
    const totals = {
      expected,
      minimumExpected: Math.floor(expected * MIN_COMPLETE_RATIO) - COUNT_TOLERANCE
    }
    let [from, isEnd] = [cursor === null ? null : Number(cursor), false]
    while (!isEnd) {
      const pageChain = createPageChain(reader, from)
      const restriction =
        from === null ? ALL_ISSUES_JQL : `created >= "${formatRelativeBound(reader, from)}"`
      for await (const { ids, invalidItems, isLast } of searchIssues(
        reader,
        `${restriction} order by created asc`,
        ['id'],
        MAX_SEARCH_IDS
      )) {
        for (let i = 0; i < Math.max(1, ids.length); i += FETCH_BATCH_SIZE) {
          const { batch, newest } = await fetchUnseen(
            reader,
            ids.slice(i, i + FETCH_BATCH_SIZE).map(({ id }) => id)
          )
          pageChain.addPage(FETCH_BATCH_SIZE, newest)
          isEnd = isLast && i + FETCH_BATCH_SIZE >= ids.length
          yield {
            ...batch,
            invalidItems: i === 0 ? [...invalidItems, ...batch.invalidItems] : batch.invalidItems,
            next: isEnd ? null : String(pageChain.getPosition() ?? 0),
            ...totals
          }
        }
        if (!isEnd && pageChain.isExhausted()) break
      }
      from = pageChain.getPosition()
    }
  },

  async *listChanges(reader, since) {
    let [from, isEnd] = [since, false]
    while (!isEnd) {
      const pageChain = createPageChain(reader, from)
      for await (const { ids, invalidItems, isLast } of searchIssues(
        reader,
        `updated >= "${formatRelativeBound(reader, from)}" order by updated asc`,
        ['updated'],
        FETCH_BATCH_SIZE
      )) {
        const stored = await reader.findStored(
          'issues',
          ids.map(({ id }) => id)
        )
        const changed = ids.filter(
          ({ id, updated }) =>
            updated === null || Number(stored.get(id)?.remote_updated_at ?? -1) < updated.getTime()
        )
        const newest = ids.at(-1)?.updated?.getTime() ?? null
        pageChain.addPage(ids.length, newest)
        isEnd = isLast
        const batch = await fetchIssues(
          reader,
          changed.map(({ id }) => id)
        )
        yield { ...batch, invalidItems: [...invalidItems, ...batch.invalidItems], newest }
        if (!isEnd && pageChain.isExhausted()) break
      }
      from = pageChain.getPosition() ?? from
    }
  },

  fetch: fetchIssues,
  exists: async (reader, id) =>
    isId(id)
      ? await checkExists(async () => await reader.get(`/rest/api/3/issue/${id}`, { fields: 'id' }))
      : undefined
}

/**
 * Fetches those of the ids that this listing has not read yet. `newest` is the latest creation
 * time among all of the ids.
 */
async function fetchUnseen(
  reader: CollectionReader,
  ids: string[]
): Promise<{ batch: IssueBatch; newest: number | null }> {
  const stored = await reader.findStored('issues', ids)
  const batch = await fetchIssues(
    reader,
    ids.filter((id) => stored.get(id)?.pass !== reader.generation)
  )
  const created = [
    ...batch.items.map(({ item }) => item.remoteCreatedAt?.getTime()),
    ...ids.map((id) => stored.get(id)?.remote_created_at)
  ]
  const newest = Math.max(...created.filter((at) => typeof at === 'number'))
  return { batch, newest: Number.isFinite(newest) ? newest : null }
}

async function fetchIssues(reader: CollectionReader, ids: readonly string[]): Promise<IssueBatch> {
  const issues: unknown[] = []
  const fetchPage = createAdaptivePager(FETCH_BATCH_SIZE)
  for (let i = 0; i < ids.length;) {
    const response = await fetchPage(async (size) => {
      const batchIds = ids.slice(i, i + size)
      const fetched = await reader.post('/rest/api/3/issue/bulkfetch', {
        issueIdsOrKeys: batchIds,
        fields: ISSUE_FIELDS
      })
      i += batchIds.length
      return fetched
    })
    if (!isRecord(response) || !Array.isArray(response.issues)) {
      throw new AppError('upstream_invalid_answer', 'Jira returned issues in an unknown format.')
    }
    issues.push(...response.issues)
  }
  return { ...parseItems(issues, (value) => parseIssue(value, reader)), next: null }
}

function parseIssue(value: Record<string, unknown>, { site }: CollectionReader) {
  const fields = isRecord(value.fields) ? value.fields : {}
  const [remoteId, key] = [toStorableText(value.id), toStorableText(value.key)]
  if (remoteId === null || key === null) {
    return createInvalidItem(remoteId, 'It has no id or no key.')
  }
  const item: Item<typeof table> = {
    issueId: remoteId,
    key,
    projectKey: getTextField(fields.project, 'key') ?? key.replace(/-\d+$/, ''),
    summary: toStorableText(fields.summary) ?? '',
    status: getTextField(fields.status, 'name'),
    issueType: getTextField(fields.issuetype, 'name'),
    assignee: getTextField(fields.assignee, 'displayName'),
    remoteCreatedAt: parseDate(fields.created),
    remoteUpdatedAt: parseDate(fields.updated),
    url: `${site.url}/browse/${encodeURIComponent(key)}`
  }
  const problem = describeTooLongText({
    key,
    summary: item.summary,
    status: item.status ?? null,
    type: item.issueType ?? null,
    assignee: item.assignee ?? null,
    'project key': item.projectKey
  })
  return problem === undefined ? { remoteId, item } : createInvalidItem(remoteId, problem)
}
