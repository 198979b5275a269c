import { ok } from '../gateway/answer.ts'
import type { SandboxResponse } from '../gateway/answer.ts'
import { parseListParam, parseIntegerParam } from '../gateway/call.ts'
import type { GatewayCall } from '../state.ts'
import type { IssueRow } from '../data/issues.ts'
import { hash } from '../data/hash.ts'
import { QueryError } from '../query/parser.ts'
import { sortValue } from '../data/iteration-order.ts'
import type { ScanPosition } from '../data/iteration-order.ts'
import type { Scan } from '../data/records.ts'
import { isPastRange, findScanStart } from '../data/date-range.ts'
import { paginateRows, applyCorruption } from '../data/corruptions.ts'
import { isIdentityField, isStringArray, renderIssue } from './issues.ts'
import { parseJql } from './jql.ts'
import type { JqlQuery } from './jql.ts'
import { jiraError } from './errors.ts'

const DEFAULT_PAGE_SIZE = 50
/** Maximum page size; larger if only ids are requested. */
const MAX_PAGE_SIZE_IDS = 5000
const MAX_PAGE_SIZE_FIELDS = 100
const PAGE_TOKEN_LIFETIME_MS = 7 * 86_400_000

const MAX_RECONCILED_ISSUES = 50

interface JqlSearch {
  jql: string
  nextPageToken?: string | undefined
  maxResults: number
  fields: string[]
  /** Ids of issues that search returns in their current state, not as indexed. */
  reconciled: string[]
}

/** The last issue of a page, and the number of issues that its chain of pages has returned. */
interface PageToken extends ScanPosition {
  servedCount: number
}

export function searchByGet(call: GatewayCall): SandboxResponse {
  const { query } = call
  const fields = parseListParam(query, 'fields')
  return runJqlSearch(call, {
    jql: query.get('jql') ?? '',
    nextPageToken: query.get('nextPageToken') ?? undefined,
    maxResults: parseIntegerParam(query.get('maxResults'), DEFAULT_PAGE_SIZE),
    fields: fields.length === 0 ? ['id'] : fields,
    reconciled: parseListParam(query, 'reconcileIssues')
  })
}

export function searchByPost(call: GatewayCall): SandboxResponse {
  const {
    jql = '',
    nextPageToken,
    maxResults = DEFAULT_PAGE_SIZE,
    fields = ['id'],
    expand,
    reconcileIssues = []
  } = (call.body ?? {}) as Record<string, unknown>
  const isWellFormed =
    typeof jql === 'string' &&
    typeof maxResults === 'number' &&
    isStringArray(fields) &&
    (nextPageToken === undefined || nextPageToken === null || typeof nextPageToken === 'string')
  const reconciled = Array.isArray(reconcileIssues) ? reconcileIssues.map(String) : undefined
  if (
    !isWellFormed ||
    reconciled === undefined ||
    (expand !== undefined && typeof expand !== 'string')
  ) {
    return jiraError(
      400,
      'Invalid request payload. Refer to the REST API documentation and try again.'
    )
  }
  return runJqlSearch(call, {
    jql,
    nextPageToken: nextPageToken ?? undefined,
    maxResults,
    fields: fields.length === 0 ? ['id'] : fields,
    reconciled
  })
}

/** POST search/approximate-count. The sandbox returns the exact count. */
export function approximateCount(call: GatewayCall): SandboxResponse {
  const { jql = '' } = (call.body ?? {}) as { jql?: unknown }
  return withParsedJql(call, String(jql), (query) => {
    let count = 0
    for (const row of scanIssues(call, query, {})) {
      if (isPastRange(query, row)) break
      if (query.matches(row)) count++
    }
    return ok({ count })
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
function runJqlSearch(
  call: GatewayCall,
  { jql, nextPageToken, maxResults, fields, reconciled }: JqlSearch
): SandboxResponse {
  const {
    state: { maxSearchResults, now }
  } = call
  if (!(maxResults > 0)) return jiraError(400, 'The maxResults must be greater than 0.')
  if (reconciled.length > MAX_RECONCILED_ISSUES) {
    return jiraError(400, `No more than ${MAX_RECONCILED_ISSUES} issues can be reconciled.`)
  }
  return withParsedJql(call, jql, (query) => {
    const pageToken =
      nextPageToken === undefined ? undefined : decodePageToken(nextPageToken, jql, now())
    if (pageToken === 'bad') {
      return jiraError(
        400,
        'The provided next page token is invalid or expired. Please restart pagination from the first page.'
      )
    }
    const servedCount = pageToken?.servedCount ?? 0
    const size = Math.min(
      maxResults,
      fields.every(isIdentityField) ? MAX_PAGE_SIZE_IDS : MAX_PAGE_SIZE_FIELDS,
      maxSearchResults - servedCount
    )
    const { page, hasMore } = paginateRows(
      call,
      'issues',
      findRows(
        call,
        query,
        { after: pageToken, live: resolvePositions(call, reconciled) },
        size + 1
      ),
      size
    )
    const last = hasMore && servedCount + page.length < maxSearchResults ? page.at(-1) : undefined
    return ok(
      {
        issues: page.map((row) => renderJqlResult(call, row, fields)),
        ...(last !== undefined && {
          nextPageToken: encodePageToken(
            jql,
            {
              value: sortValue(last, query.order),
              position: last.position,
              servedCount: servedCount + page.length
            },
            now()
          )
        }),
        isLast: last === undefined
      },
      page.length
    )
  })
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
  const matching: IssueRow[] = []
  for (const row of scanIssues(call, query, start)) {
    if (isPastRange(query, row)) break
    if (query.matches(row)) matching.push(row)
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

function encodePageToken(
  jql: string,
  { value, position, servedCount }: PageToken,
  now: number
): string {
  return Buffer.from(
    JSON.stringify([hashText(jql), value, position, servedCount, now + PAGE_TOKEN_LIFETIME_MS])
  ).toString('base64url')
}

/** A token is valid for its query only, for seven days. */
function decodePageToken(token: string, jql: string, now: number): PageToken | 'bad' {
  const text = Buffer.from(token, 'base64url').toString()
  const match = /^\[(\d+),(-?\d+(?:\.\d+)?),(\d+),(\d+),(\d+(?:\.\d+)?)\]$/.exec(text)
  if (match === null || Number(match[1]) !== hashText(jql) || Number(match[5]) <= now) return 'bad'
  return { value: Number(match[2]), position: Number(match[3]), servedCount: Number(match[4]) }
}

function hashText(text: string): number {
  return [...text].reduce((sum, char) => hash(sum, 90, char.codePointAt(0) ?? 0), 0)
}
