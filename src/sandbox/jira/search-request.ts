import type { SandboxResponse } from '../gateway/answer.ts'
import { parseIntegerParam, parseListParam } from '../gateway/call.ts'
import type { GatewayCall } from '../state.ts'
import { jiraError } from './errors.ts'
import { isIdentityField } from './issues.ts'
import { invalidPayload, isStringArray, readBodyMembers } from './request-body.ts'

const DEFAULT_PAGE_SIZE = 50
/** Ids are cheap, fields are not. */
const MAX_PAGE_SIZE_IDS = 5000
const MAX_PAGE_SIZE_FIELDS = 100
const MAX_RECONCILED_ISSUES = 50
const MAX_PROPERTIES = 5
const BODY_MEMBERS: Record<string, (value: unknown) => boolean> = {
  jql: (value) => typeof value === 'string',
  nextPageToken: (value) => typeof value === 'string' || value === null,
  maxResults: Number.isInteger,
  fields: isStringArray,
  expand: (value) => typeof value === 'string',
  properties: isStringArray,
  fieldsByKeys: (value) => typeof value === 'boolean',
  reconcileIssues: (value) => Array.isArray(value) && value.every(Number.isInteger)
}

export interface JqlSearch {
  jql: string
  nextPageToken: string | undefined
  /** The page size that Jira grants. */
  size: number
  fields: string[]
  /** Ids of issues that are read live and not from the index. */
  reconciled: string[]
}

interface RequestedSearch extends Omit<JqlSearch, 'size'> {
  maxResults: number
  properties: string[]
}

/** A GET reads only the query string (docs/reference/atlassian.md#83-jql-search). */
export function readSearchQuery({ query }: GatewayCall): JqlSearch | SandboxResponse {
  return checkSearch({
    jql: query.get('jql') ?? '',
    nextPageToken: query.get('nextPageToken') ?? undefined,
    maxResults: parseIntegerParam(query.get('maxResults'), DEFAULT_PAGE_SIZE),
    fields: parseListParam(query, 'fields'),
    properties: parseListParam(query, 'properties'),
    reconciled: parseListParam(query, 'reconcileIssues')
  })
}

/** A POST reads only the body, and refuses unknown members. */
export function readSearchBody({ body }: GatewayCall): JqlSearch | SandboxResponse {
  const members = readBodyMembers(body, BODY_MEMBERS)
  if (members === undefined) return invalidPayload()
  return checkSearch({
    jql: (members.jql ?? '') as string,
    nextPageToken: (members.nextPageToken ?? undefined) as string | undefined,
    maxResults: (members.maxResults ?? DEFAULT_PAGE_SIZE) as number,
    fields: (members.fields ?? []) as string[],
    properties: (members.properties ?? []) as string[],
    reconciled: ((members.reconcileIssues ?? []) as number[]).map(String)
  })
}

/** An empty token asks for the first page. */
function checkSearch({
  maxResults,
  properties,
  ...search
}: RequestedSearch): JqlSearch | SandboxResponse {
  if (!(maxResults >= 1 && maxResults <= MAX_PAGE_SIZE_IDS)) {
    return jiraError(400, 'The max results parameter has to be between 1 and 5,000.')
  }
  if (search.reconciled.length > MAX_RECONCILED_ISSUES) {
    return jiraError(400, `No more than ${MAX_RECONCILED_ISSUES} issues can be reconciled.`)
  }
  if (properties.length > MAX_PROPERTIES) {
    return jiraError(400, `No more than ${MAX_PROPERTIES} properties can be requested.`)
  }
  const fields = search.fields.length === 0 ? ['id'] : search.fields
  const hasOnlyIds = fields.every(isIdentityField)
  return {
    ...search,
    nextPageToken: search.nextPageToken === '' ? undefined : search.nextPageToken,
    fields,
    size: hasOnlyIds ? maxResults : Math.min(maxResults, MAX_PAGE_SIZE_FIELDS)
  }
}

export function isRefusal(value: object): value is SandboxResponse {
  return 'status' in value && 'body' in value
}
