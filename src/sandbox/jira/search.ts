import { jiraError, ok } from '../answer.ts'
import type { Answer } from '../answer.ts'
import { list, whole } from '../call.ts'
import type { Call } from '../call.ts'
import type { IssueRow } from '../data/issues.ts'
import { hash } from '../hash.ts'
import { QueryError } from '../query.ts'
import { valueOf } from '../records.ts'
import type { Mark } from '../records.ts'
import { isIdentity, isTexts, viewIssue } from './issues.ts'
import { readJql, startOf } from './jql.ts'
import type { Jql } from './jql.ts'

const DEFAULT_PAGE = 50
/** What fits on a page: ids are cheap, fields are not. */
const LARGEST_IDS = 5000
const LARGEST_FIELDS = 100
const TOKEN_LIFE_MS = 7 * 86_400_000

interface Search { jql: string, nextPageToken?: string, maxResults: number, fields: string[] }

export function searchByGet (call: Call): Answer {
  const { query } = call
  const fields = list(query, 'fields')
  return search(call, {
    jql: query.get('jql') ?? '',
    nextPageToken: query.get('nextPageToken') ?? undefined,
    maxResults: whole(query.get('maxResults'), DEFAULT_PAGE),
    fields: fields.length === 0 ? ['id'] : fields
  })
}

export function searchByPost (call: Call): Answer {
  const { jql = '', nextPageToken, maxResults = DEFAULT_PAGE, fields = ['id'], expand } = (call.body ?? {}) as Record<string, unknown>
  const wellFormed = typeof jql === 'string' && typeof maxResults === 'number' && isTexts(fields) && (nextPageToken === undefined || nextPageToken === null || typeof nextPageToken === 'string')
  if (!wellFormed || (expand !== undefined && typeof expand !== 'string')) return jiraError(400, 'Invalid request payload. Refer to the REST API documentation and try again.')
  return search(call, { jql, nextPageToken: nextPageToken ?? undefined, maxResults, fields: fields.length === 0 ? ['id'] : fields })
}

/** POST search/approximate-count; here it is exact. */
export function approximateCount (call: Call): Answer {
  const { jql = '' } = (call.body ?? {}) as { jql?: unknown }
  return understood(call, String(jql), (query) => {
    let count = 0
    for (const row of rows(call, query, undefined)) if (query.fits(row)) count++
    return ok({ count })
  })
}

function understood (call: Call, text: string, run: (query: Jql) => Answer): Answer {
  try {
    return run(readJql(call, text))
  } catch (error) {
    if (error instanceof QueryError) return jiraError(400, error.message)
    throw error
  }
}

/** Pages by token; there is no total and no offset (atlassian.md 8.3). */
function search (call: Call, { jql, nextPageToken, maxResults, fields }: Search): Answer {
  if (!(maxResults > 0)) return jiraError(400, 'The maxResults must be greater than 0.')
  const size = Math.min(maxResults, fields.every(isIdentity) ? LARGEST_IDS : LARGEST_FIELDS)
  return understood(call, jql, (query) => {
    const after = nextPageToken === undefined ? undefined : readToken(nextPageToken, jql, call.world.now())
    if (after === 'bad') return jiraError(400, 'The provided next page token is invalid or expired. Please restart pagination from the first page.')
    const found: IssueRow[] = []
    for (const row of rows(call, query, after)) {
      if (query.fits(row)) found.push(row)
      if (found.length > size) break
    }
    const page = found.slice(0, size)
    const more = found.length > size
    const mark = { value: valueOf(page.at(-1) ?? found[0] ?? { position: 0, modified: 0, created: 0, version: 0 }, query.order), position: page.at(-1)?.position ?? 0 }
    return ok({
      issues: page.map((row) => view(call, row, fields)),
      ...more && { nextPageToken: writeToken(jql, mark, call.world.now()) },
      isLast: !more
    }, page.length)
  })
}

function view (call: Call, row: IssueRow, fields: string[]): Record<string, unknown> {
  return fields.every((field) => field === 'id') ? { id: row.id } : viewIssue(call, row, fields)
}

function rows ({ site: { issues, sizes } }: Call, query: Jql, after: Mark | undefined) {
  const { order, descending, projects } = query
  return issues.walk({
    order,
    descending,
    after: after ?? startOf(query),
    ...projects !== undefined && order === 'id' && { residues: { of: Math.max(sizes.projects, 1), among: [...new Set(projects)] } }
  })
}

function writeToken (jql: string, { value, position }: Mark, now: number): string {
  return Buffer.from(JSON.stringify([digest(jql), value, position, now + TOKEN_LIFE_MS])).toString('base64url')
}

/** A token belongs to its query and lives for seven days. */
function readToken (token: string, jql: string, now: number): Mark | 'bad' {
  const text = Buffer.from(token, 'base64url').toString()
  const match = /^\[(\d+),(-?\d+(?:\.\d+)?),(\d+),(\d+(?:\.\d+)?)\]$/.exec(text)
  if (match === null || Number(match[1]) !== digest(jql) || Number(match[4]) <= now) return 'bad'
  return { value: Number(match[2]), position: Number(match[3]) }
}

function digest (text: string): number {
  return [...text].reduce((sum, char) => hash(sum, 90, char.codePointAt(0) ?? 0), 0)
}
