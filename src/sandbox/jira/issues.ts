import { ok } from '../gateway/answer.ts'
import type { SandboxResponse } from '../gateway/answer.ts'
import { parseListParam } from '../gateway/call.ts'
import type { GatewayCall } from '../state.ts'
import type { IssueRow } from '../data/issues.ts'
import { canSeeIssue } from '../data/visibility.ts'
import { applyCorruption } from '../data/corruptions.ts'
import { invalidPayload, isStringArray, readBodyMembers } from './request-body.ts'
import { FIELD_NAMES, renderFields } from './view.ts'
import { jiraError } from './errors.ts'

const MAX_BULK_FETCH = 100
const MAX_FIELDS_OF_LARGE_BATCH = 100
const MULTIPLE_VALUES = ['comment', 'worklog', 'attachment', '*all', '*navigable']
const LARGE_EXPANSIONS = [
  'changelog',
  'editmeta',
  'operations',
  'renderedFields',
  'transitions',
  'versionedRepresentations'
]
const BULK_MEMBERS: Record<string, (value: unknown) => boolean> = {
  issueIdsOrKeys: isStringArray,
  fields: isStringArray,
  expand: isStringArray,
  properties: isStringArray,
  fieldsByKeys: (value) => typeof value === 'boolean'
}

interface BulkRequest {
  issueIdsOrKeys?: string[]
  fields?: string[]
  expand?: string[]
}

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
 * POST issue/bulkfetch (docs/reference/atlassian.md#87-bulk-fetch): in ascending order of ids.
 * What is not found or not visible is in neither list.
 */
export function bulkFetchIssues(call: GatewayCall): SandboxResponse {
  const members = readBodyMembers(call.body, BULK_MEMBERS)
  if (members === undefined) return invalidPayload()
  const request = members as BulkRequest
  const names = request.issueIdsOrKeys ?? []
  if (names.length === 0) {
    return jiraError(400, 'issueIdsOrKeys must be a list of issue ids or keys.')
  }
  const { bulkLimit, issueErrors } = call.site.answers.rules()
  const limit = isSmall(request) ? bulkLimit : MAX_BULK_FETCH
  if (names.length > limit) {
    return jiraError(400, `No more than ${limit} issues can be fetched at once.`)
  }
  const rows = new Map(
    names
      .map((name) => findIssue(call, name))
      .filter((row) => row !== undefined)
      .map((row) => [row.position, row])
  )
  const sorted = [...rows.values()].sort((a, b) => a.position - b.position)
  const issues = sorted
    .filter(({ id }) => !issueErrors.has(id))
    .map((row) => renderIssue(call, row, request.fields ?? ['*navigable']))
  const errors = sorted
    .filter(({ id }) => issueErrors.has(id))
    .map(({ id }) => ({ id, errorMessage: 'The issue could not be loaded. Try again later.' }))
  return ok({ issues, issueErrors: errors }, issues.length)
}

/** Whether the request may name more than 100 issues: few fields, each with a single value. */
function isSmall({ fields = [], expand = [] }: BulkRequest): boolean {
  return (
    fields.length >= 1 &&
    fields.length <= MAX_FIELDS_OF_LARGE_BATCH &&
    !fields.some((field) => MULTIPLE_VALUES.includes(field)) &&
    !expand.some((name) => LARGE_EXPANSIONS.includes(name))
  )
}
