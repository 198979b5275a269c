import { jiraError, ok } from '../gateway/answer.ts'
import type { Answer } from '../gateway/answer.ts'
import { list } from '../gateway/call.ts'
import type { Call } from '../gateway/call.ts'
import type { IssueRow } from '../data/issues.ts'
import { seesIssue } from '../data/visibility.ts'
import { shown } from '../admin/corrupt-items.ts'
import { FIELD_NAMES, issueFields } from './view.ts'

const MOST_FETCHED = 100

/** An issue with the fields that were asked for; `*all`, `*navigable` and `-field` work as in Jira. */
export function viewIssue(
  call: Call,
  row: IssueRow,
  wanted: readonly string[]
): Record<string, unknown> {
  const self = `${call.base}/rest/api/3/issue/${row.id}`
  const frame = {
    expand: 'renderedFields,names,schema,operations,editmeta,changelog',
    id: row.id,
    self,
    key: call.site.issues.key(row)
  }
  if (wanted.every(isIdentity)) return shown(call, 'issues', row, frame)
  return shown(call, 'issues', row, { ...frame, fields: issueFields(call, row, namesOf(wanted)) })
}

function namesOf(wanted: readonly string[]): string[] {
  const everything =
    wanted.some((field) => field === '*all' || field === '*navigable') ||
    wanted.every((field) => field.startsWith('-'))
  return FIELD_NAMES.filter(
    (name) => (everything || wanted.includes(name)) && !wanted.includes(`-${name}`)
  )
}

/** Fields that are no fields: they come with every issue. */
export function isIdentity(field: string): boolean {
  return field === 'id' || field === 'key'
}

export function findIssue(call: Call, name: string): IssueRow | undefined {
  const { issues } = call.site
  const row = issues.byId(name) ?? issues.byKey(name)
  return seesIssue(call, row) ? row : undefined
}

export function getIssue(call: Call): Answer {
  const row = findIssue(call, call.params[0])
  if (row === undefined) {
    return jiraError(404, 'Issue does not exist or you do not have permission to see it.')
  }
  const fields = list(call.query, 'fields')
  return ok(viewIssue(call, row, fields.length === 0 ? ['*all'] : fields), 1)
}

/** POST issue/bulkfetch: at most 100, in the order of their ids; what is not found is simply not there. */
export function bulkFetch(call: Call): Answer {
  const { issueIdsOrKeys: names, fields } = (call.body ?? {}) as {
    issueIdsOrKeys?: unknown
    fields?: unknown
  }
  if (!isTexts(names) || names.length === 0) {
    return jiraError(400, 'issueIdsOrKeys must be a list of issue ids or keys.')
  }
  if (names.length > MOST_FETCHED) {
    return jiraError(400, `No more than ${MOST_FETCHED} issues can be fetched at once.`)
  }
  if (fields !== undefined && !isTexts(fields)) {
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
    .map((row) => viewIssue(call, row, fields ?? ['*navigable']))
  return ok({ expand: 'schema,names', issues, issueErrors: [] }, issues.length)
}

export function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}
