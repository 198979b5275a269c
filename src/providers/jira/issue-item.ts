import type { Item, ItemTableShape } from '../../model/items.ts'
import { isRecord, toStorableText } from '../../lib/json.ts'
import { createInvalidItem, describeTooLongText, getTextField, parseDate } from '../paging.ts'
import type { CollectionReader, ItemBatch } from '../provider.ts'

/** The fields that an issue is made of; each answer with fields contains at most 100 issues. */
export const ISSUE_FIELDS = [
  'summary',
  'status',
  'issuetype',
  'project',
  'assignee',
  'created',
  'updated'
]

export const issueTable = {
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

export type IssueBatch = ItemBatch<Item<typeof issueTable>>

export function parseIssue(value: Record<string, unknown>, { site }: CollectionReader) {
  const fields = isRecord(value.fields) ? value.fields : {}
  const [remoteId, key] = [toStorableText(value.id), toStorableText(value.key)]
  if (remoteId === null || key === null) {
    return createInvalidItem(remoteId, 'It has no id or no key.')
  }
  const item: Item<typeof issueTable> = {
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
