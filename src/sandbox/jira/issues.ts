import { ok } from '../gateway/answer.ts'
import type { SandboxResponse } from '../gateway/answer.ts'
import { parseListParam } from '../gateway/call.ts'
import type { GatewayCall } from '../state.ts'
import type { IssueRow } from '../data/issues.ts'
import { canSeeIssue } from '../data/visibility.ts'
import { applyCorruption } from '../data/corruptions.ts'
import { FIELD_NAMES, renderFields } from './view.ts'
import { jiraError } from './errors.ts'

const MAX_BULK_FETCH = 100

/** An issue with the requested fields; `*all`, `*navigable` and `-field` work as in Jira. */
export function renderIssue(
  call: GatewayCall,
  row: IssueRow,
  requestedFields: readonly string[]
): Record<string, unknown> {
  const self = `${call.base}/rest/api/3/issue/${row.id}`
  const envelope = {
    expand: 'renderedFields,names,schema,operations,editmeta,changelog',
    id: row.id,
    self,
    key: call.site.issues.key(row)
  }
  if (requestedFields.every(isIdentityField)) return applyCorruption(call, 'issues', row, envelope)
  return applyCorruption(call, 'issues', row, {
    ...envelope,
    fields: renderFields(call, row, selectFieldNames(requestedFields))
  })
}

function selectFieldNames(requestedFields: readonly string[]): string[] {
  const includesAll =
    requestedFields.some((field) => field === '*all' || field === '*navigable') ||
    requestedFields.every((field) => field.startsWith('-'))
  return FIELD_NAMES.filter(
    (name) =>
      (includesAll || requestedFields.includes(name)) && !requestedFields.includes(`-${name}`)
  )
}

/** Whether it is a member of every issue instead of a field. */
export function isIdentityField(field: string): boolean {
  return field === 'id' || field === 'key'
}

export function findIssue(call: GatewayCall, name: string): IssueRow | undefined {
  const { issues } = call.site
  const row = issues.findById(name) ?? issues.findByKey(name)
  return canSeeIssue(call, row) ? row : undefined
}

export function getIssue(call: GatewayCall): SandboxResponse {
  const [name = ''] = call.params
  const row = findIssue(call, name)
  if (row === undefined) {
    return jiraError(404, 'Issue does not exist or you do not have permission to see it.')
  }
  const fields = parseListParam(call.query, 'fields')
  return ok(renderIssue(call, row, fields.length === 0 ? ['*all'] : fields), 1)
}

/**
 * POST issue/bulkfetch: at most 100 issues, ordered by id; missing ones are omitted without an
 * error.
 */
export function bulkFetchIssues(call: GatewayCall): SandboxResponse {
  const { issueIdsOrKeys: names, fields } = (call.body ?? {}) as {
    issueIdsOrKeys?: unknown
    fields?: unknown
  }
  if (!isStringArray(names) || names.length === 0) {
    return jiraError(400, 'issueIdsOrKeys must be a list of issue ids or keys.')
  }
  if (names.length > MAX_BULK_FETCH) {
    return jiraError(400, `No more than ${MAX_BULK_FETCH} issues can be fetched at once.`)
  }
  if (fields !== undefined && !isStringArray(fields)) {
    return jiraError(400, 'fields must be a list of names.')
  }
  const rows = new Map(
    names
      .map((name) => findIssue(call, name))
      .filter((row) => row !== undefined)
      .map((row) => [row.position, row])
  )
  const issues = [...rows.values()]
    .sort((a, b) => a.position - b.position)
    .map((row) => renderIssue(call, row, fields ?? ['*navigable']))
  return ok({ expand: 'schema,names', issues, issueErrors: [] }, issues.length)
}

export function isStringArray(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}
