import { Type } from '@sinclair/typebox'
import { toIsoTime } from '../../lib/iso-time.ts'
import { Nullable } from '../../lib/typebox.ts'
import type { Collection } from '../provider.ts'
import { fetchIssues, lookUpIssues } from './issue-fetch.ts'
import { issueTable } from './issue-item.ts'
import { listChangedIssues, listIssues } from './issue-listing.ts'

export const issues: Collection<typeof issueTable> = {
  name: 'issues',
  table: issueTable,
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
    created_at: remoteCreatedAt ? toIsoTime(remoteCreatedAt) : null,
    url
  }),
  parent: { collection: 'projects', column: 'projectKey', parentColumn: 'key' },
  parentFilter: { description: 'The key of their project', example: 'PAY' },

  list: listIssues,
  listChanges: listChangedIssues,
  fetch: fetchIssues,
  lookUp: lookUpIssues
}
