import { AppError } from '../../lib/errors.ts'
import { isRecord, toStorableText } from '../../lib/json.ts'
import type { Item } from '../../model/items.ts'
import { createFailedItem, fetchInBatches } from '../adaptive-pager.ts'
import { lookUpInBatches } from '../look-up.ts'
import { checkExists, parseItems } from '../paging.ts'
import type { CollectionReader, InvalidItem, LookUpResult } from '../provider.ts'
import { ISSUE_FIELDS, parseIssue, type IssueBatch, type issueTable } from './issue-item.ts'

/** Maximum ids in one bulk fetch (docs/reference/atlassian.md#87-bulk-fetch). */
export const FETCH_BATCH_SIZE = 100

interface BulkFetch {
  values: unknown[]
  /** Issues that exist and that Jira could not deliver now. */
  undeliveredIds: string[]
  failedItems: InvalidItem[]
}

/** Reads issues by id. Issues that are gone or hidden are left out. */
export async function fetchIssues(
  reader: CollectionReader,
  ids: readonly string[]
): Promise<IssueBatch> {
  const first = await bulkFetch(reader, ids)
  const again = await bulkFetch(reader, first.undeliveredIds)
  const { items, invalidItems } = parseItems([...first.values, ...again.values], (value) =>
    parseIssue(value, reader)
  )
  return {
    items,
    invalidItems: [
      ...invalidItems,
      ...first.failedItems,
      ...again.failedItems,
      ...again.undeliveredIds.map((id) => ({
        ...createFailedItem(id),
        isUndelivered: true as const
      }))
    ],
    next: null
  }
}

export async function lookUpIssues(
  reader: CollectionReader,
  ids: readonly string[],
  controlId: string | undefined
): Promise<LookUpResult<Item<typeof issueTable>>> {
  return await lookUpInBatches(ids, controlId, {
    batchSize: FETCH_BATCH_SIZE,
    fetchBatch: async (batchIds) => ({
      ...(await fetchIssues(reader, batchIds)),
      deletedIds: []
    }),
    exists: async (id) =>
      await checkExists(async () => await reader.get(`/rest/api/3/issue/${id}`, { fields: 'id' }))
  })
}

async function bulkFetch(reader: CollectionReader, ids: readonly string[]): Promise<BulkFetch> {
  const values: unknown[] = []
  const undeliveredIds: string[] = []
  const failedItems = await fetchInBatches(ids, FETCH_BATCH_SIZE, async (batchIds, options) => {
    const response = await reader.post(
      '/rest/api/3/issue/bulkfetch',
      { issueIdsOrKeys: batchIds, fields: ISSUE_FIELDS },
      options
    )
    if (!isRecord(response) || !Array.isArray(response.issues)) {
      throw new AppError('upstream_invalid_answer', 'Jira returned issues in an unknown format.')
    }
    values.push(...response.issues)
    undeliveredIds.push(...findUndelivered(response, batchIds))
  })
  return { values, undeliveredIds, failedItems }
}

/**
 * The ids in `issueErrors` (docs/reference/atlassian.md#87-bulk-fetch). If an entry does not name
 * one of the requested ids, it may concern any issue that was not delivered.
 */
function findUndelivered(response: Record<string, unknown>, batchIds: readonly string[]): string[] {
  const entries: unknown[] = Array.isArray(response.issueErrors) ? response.issueErrors : []
  const ids = entries.map((entry) => (isRecord(entry) ? toStorableText(entry.id) : null))
  if (ids.every((id) => id !== null && batchIds.includes(id))) return ids as string[]
  const deliveredIds = new Set(
    (response.issues as unknown[]).map((value) =>
      isRecord(value) ? toStorableText(value.id) : null
    )
  )
  return batchIds.filter((id) => !deliveredIds.has(id))
}
