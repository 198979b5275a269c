import { ok } from '../gateway/answer.ts'
import type { SandboxResponse } from '../gateway/answer.ts'
import type { GatewayCall } from '../state.ts'
import type { IssueRow } from '../data/issues.ts'
import { QueryError } from '../query/parser.ts'
import { sortValue } from '../data/iteration-order.ts'
import type { Scan } from '../data/records.ts'
import { isPastRange, findScanStart } from '../data/date-range.ts'
import { paginateRows, applyCorruption } from '../data/corruptions.ts'
import { renderIssue } from './issues.ts'
import { parseJql } from './jql.ts'
import type { JqlQuery } from './jql.ts'
import { jiraError } from './errors.ts'
import { decodePageToken, encodePageToken } from './page-token.ts'
import { invalidPayload, readBodyMembers } from './request-body.ts'
import { isRefusal, readSearchBody, readSearchQuery } from './search-request.ts'
import type { JqlSearch } from './search-request.ts'

export function searchByGet(call: GatewayCall): SandboxResponse {
  return runJqlSearch(call, readSearchQuery(call))
}

export function searchByPost(call: GatewayCall): SandboxResponse {
  return runJqlSearch(call, readSearchBody(call))
}

/** POST search/approximate-count. Exact, unless the answer rules say otherwise. */
export function approximateCount(call: GatewayCall): SandboxResponse {
  const { factor = 1, status } = call.site.answers.rules().count
  if (status !== undefined) return jiraError(status, 'The issues could not be counted.')
  const members = readBodyMembers(call.body, { jql: (value) => typeof value === 'string' })
  if (members === undefined) return invalidPayload()
  return withParsedJql(call, String(members.jql ?? ''), (query) => {
    let count = 0
    for (const row of scanIssues(call, query, {})) {
      if (isPastRange(query, row)) break
      if (query.matches(row)) count++
    }
    return ok({ count: Math.round(count * factor) })
  })
}

function withParsedJql(
  call: GatewayCall,
  text: string,
  run: (query: JqlQuery) => SandboxResponse
): SandboxResponse {
  try {
    return run(parseJql(call, text))
  } catch (error) {
    if (error instanceof QueryError) return jiraError(400, error.message)
    throw error
  }
}

/**
 * Pages by token, without total or offset. A chain of pages ends at its maximum length
 * (docs/reference/atlassian.md#83-jql-search).
 */
function runJqlSearch(call: GatewayCall, search: JqlSearch | SandboxResponse): SandboxResponse {
  if (isRefusal(search)) return search
  const { jql, nextPageToken, size: maxSize, fields, reconciled } = search
  const { now } = call.state
  const { answers } = call.site
  const { searchWarnings, truncateAt = Number.POSITIVE_INFINITY } = answers.rules()
  const chainLength = Math.min(call.state.maxSearchResults, truncateAt)
  return withParsedJql(call, jql, (query) => {
    const pageToken =
      nextPageToken === undefined ? undefined : decodePageToken(nextPageToken, jql, now())
    if (pageToken === 'bad') return refusePageToken()
    if (pageToken === undefined && query.startsListing) answers.startListing('issues')
    const servedCount = pageToken?.servedCount ?? 0
    const size = Math.min(maxSize, chainLength - servedCount)
    const start = { after: pageToken, live: resolvePositions(call, reconciled) }
    const rows = findRows(call, query, start, size + 1)
    const { page, hasMore } = paginateRows(call, 'issues', rows, size)
    const last = hasMore && servedCount + page.length < chainLength ? page.at(-1) : undefined
    const position = last && {
      value: sortValue(last, query.order),
      position: last.position,
      servedCount: servedCount + page.length
    }
    return ok(
      {
        issues: page.map((row) => renderJqlResult(call, row, fields)),
        ...(position !== undefined && { nextPageToken: encodePageToken(jql, position, now()) }),
        isLast: last === undefined,
        ...(searchWarnings.length > 0 && { warnings: searchWarnings })
      },
      page.length
    )
  })
}

export function refusePageToken(): SandboxResponse {
  return jiraError(
    400,
    'The provided next page token is invalid or expired. Please restart pagination from the first page.'
  )
}

function renderJqlResult(
  call: GatewayCall,
  row: IssueRow,
  fields: string[]
): Record<string, unknown> {
  return fields.every((field) => field === 'id')
    ? applyCorruption(call, 'issues', row, { id: row.id })
    : renderIssue(call, row, fields)
}

function resolvePositions({ site: { issues } }: GatewayCall, ids: string[]): Set<number> {
  return new Set(
    ids.map((id) => issues.findById(id)?.position).filter((position) => position !== undefined)
  )
}

type ScanStart = Pick<Scan, 'after' | 'live'>

/** Returns the first matching rows, at most `max`. */
function findRows(call: GatewayCall, query: JqlQuery, start: ScanStart, max: number): IssueRow[] {
  const { answers } = call.site
  const isOmitted = (row: IssueRow) => query.isListing && answers.isOmitted('issues', row)
  const matching: IssueRow[] = []
  for (const row of scanIssues(call, query, start)) {
    if (isPastRange(query, row)) break
    if (query.matches(row) && !isOmitted(row)) matching.push(row)
    if (matching.length >= max) break
  }
  return matching
}

/** Scans the index, narrowed by the order and the projects of the query. */
function scanIssues(
  { site: { issues, sizes } }: GatewayCall,
  query: JqlQuery,
  { after, live }: ScanStart
) {
  const { order, descending, projects } = query
  return issues.scan({
    order,
    descending,
    after: after ?? findScanStart(query),
    view: 'index',
    live,
    ...(projects !== undefined && {
      residues: { modulus: Math.max(sizes.projects, 1), classes: [...new Set(projects)] }
    })
  })
}
