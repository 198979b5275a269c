import { jiraError, ok } from '../gateway/answer.ts'
import type { Answer } from '../gateway/answer.ts'
import { list, whole } from '../gateway/call.ts'
import type { Call } from '../gateway/call.ts'
import type { IssueRow } from '../data/issues.ts'
import { hash } from '../data/hash.ts'
import { QueryError } from '../query/parser.ts'
import { valueOf } from '../data/iteration-order.ts'
import type { Mark } from '../data/iteration-order.ts'
import type { Walk } from '../data/records.ts'
import { isPast, startOf } from '../data/date-range.ts'
import { filled, shown } from '../admin/corrupt-items.ts'
import { isIdentity, isTexts, viewIssue } from './issues.ts'
import { readJql } from './jql.ts'
import type { Jql } from './jql.ts'

const DEFAULT_PAGE = 50
/** What fits on a page: ids are cheap, fields are not. */
const LARGEST_IDS = 5000
const LARGEST_FIELDS = 100
const TOKEN_LIFE_MS = 7 * 86_400_000

const MOST_RECONCILED = 50

interface Search {
  jql: string
  nextPageToken?: string
  maxResults: number
  fields: string[]
  /** Ids of issues that are to be seen as they are, not as the index has them. */
  reconciled: string[]
}

/** The last issue of a page, and how many its chain of pages has served so far. */
interface Place extends Mark {
  served: number
}

export function searchByGet(call: Call): Answer {
  const { query } = call
  const fields = list(query, 'fields')
  return search(call, {
    jql: query.get('jql') ?? '',
    nextPageToken: query.get('nextPageToken') ?? undefined,
    maxResults: whole(query.get('maxResults'), DEFAULT_PAGE),
    fields: fields.length === 0 ? ['id'] : fields,
    reconciled: list(query, 'reconcileIssues')
  })
}

export function searchByPost(call: Call): Answer {
  const {
    jql = '',
    nextPageToken,
    maxResults = DEFAULT_PAGE,
    fields = ['id'],
    expand,
    reconcileIssues = []
  } = (call.body ?? {}) as Record<string, unknown>
  const wellFormed =
    typeof jql === 'string' &&
    typeof maxResults === 'number' &&
    isTexts(fields) &&
    (nextPageToken === undefined || nextPageToken === null || typeof nextPageToken === 'string')
  const reconciled = Array.isArray(reconcileIssues) ? reconcileIssues.map(String) : undefined
  if (
    !wellFormed ||
    reconciled === undefined ||
    (expand !== undefined && typeof expand !== 'string')
  ) {
    return jiraError(
      400,
      'Invalid request payload. Refer to the REST API documentation and try again.'
    )
  }
  return search(call, {
    jql,
    nextPageToken: nextPageToken ?? undefined,
    maxResults,
    fields: fields.length === 0 ? ['id'] : fields,
    reconciled
  })
}

/** POST search/approximate-count; here it is exact. */
export function approximateCount(call: Call): Answer {
  const { jql = '' } = (call.body ?? {}) as { jql?: unknown }
  return understood(call, String(jql), (query) => {
    let count = 0
    for (const row of rows(call, query, {})) {
      if (isPast(query, row)) break
      if (query.fits(row)) count++
    }
    return ok({ count })
  })
}

function understood(call: Call, text: string, run: (query: Jql) => Answer): Answer {
  try {
    return run(readJql(call, text))
  } catch (error) {
    if (error instanceof QueryError) return jiraError(400, error.message)
    throw error
  }
}

/** Pages by token; there is no total and no offset, and a chain that has become too long just ends (atlassian.md 8.3). */
function search(
  call: Call,
  { jql, nextPageToken, maxResults, fields, reconciled }: Search
): Answer {
  const {
    world: { longestSearch, now }
  } = call
  if (!(maxResults > 0)) return jiraError(400, 'The maxResults must be greater than 0.')
  if (reconciled.length > MOST_RECONCILED) {
    return jiraError(400, `No more than ${MOST_RECONCILED} issues can be reconciled.`)
  }
  return understood(call, jql, (query) => {
    const place = nextPageToken === undefined ? undefined : readToken(nextPageToken, jql, now())
    if (place === 'bad') {
      return jiraError(
        400,
        'The provided next page token is invalid or expired. Please restart pagination from the first page.'
      )
    }
    const served = place?.served ?? 0
    const size = Math.min(
      maxResults,
      fields.every(isIdentity) ? LARGEST_IDS : LARGEST_FIELDS,
      longestSearch - served
    )
    const { page, more } = filled(
      call,
      'issues',
      found(call, query, { after: place, live: positionsOf(call, reconciled) }, size + 1),
      size
    )
    const last = more && served + page.length < longestSearch ? page.at(-1) : undefined
    return ok(
      {
        issues: page.map((row) => view(call, row, fields)),
        ...(last !== undefined && {
          nextPageToken: writeToken(
            jql,
            {
              value: valueOf(last, query.order),
              position: last.position,
              served: served + page.length
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

function view(call: Call, row: IssueRow, fields: string[]): Record<string, unknown> {
  return fields.every((field) => field === 'id')
    ? shown(call, 'issues', row, { id: row.id })
    : viewIssue(call, row, fields)
}

function positionsOf({ site: { issues } }: Call, ids: string[]): Set<number> {
  return new Set(
    ids.map((id) => issues.byId(id)?.position).filter((position) => position !== undefined)
  )
}

type Sight = Pick<Walk, 'after' | 'live'>

/** The first rows that fit, no more than `most`. */
function found(call: Call, query: Jql, sight: Sight, most: number): IssueRow[] {
  const fitting: IssueRow[] = []
  for (const row of rows(call, query, sight)) {
    if (isPast(query, row)) break
    if (query.fits(row)) fitting.push(row)
    if (fitting.length >= most) break
  }
  return fitting
}

/** What the index holds, as far as the order and the projects narrow it. */
function rows({ site: { issues, sizes } }: Call, query: Jql, { after, live }: Sight) {
  const { order, descending, projects } = query
  return issues.walk({
    order,
    descending,
    after: after ?? startOf(query),
    view: 'index',
    live,
    ...(projects !== undefined && {
      residues: { of: Math.max(sizes.projects, 1), among: [...new Set(projects)] }
    })
  })
}

function writeToken(jql: string, { value, position, served }: Place, now: number): string {
  return Buffer.from(
    JSON.stringify([digest(jql), value, position, served, now + TOKEN_LIFE_MS])
  ).toString('base64url')
}

/** A token belongs to its query and lives for seven days. */
function readToken(token: string, jql: string, now: number): Place | 'bad' {
  const text = Buffer.from(token, 'base64url').toString()
  const match = /^\[(\d+),(-?\d+(?:\.\d+)?),(\d+),(\d+),(\d+(?:\.\d+)?)\]$/.exec(text)
  if (match === null || Number(match[1]) !== digest(jql) || Number(match[5]) <= now) return 'bad'
  return { value: Number(match[2]), position: Number(match[3]), served: Number(match[4]) }
}

function digest(text: string): number {
  return [...text].reduce((sum, char) => hash(sum, 90, char.codePointAt(0) ?? 0), 0)
}
