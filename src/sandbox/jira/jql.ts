import type { Call } from '../gateway/call.ts'
import { compareMinutes, readDate } from '../query/dates.ts'
import type { IssueRow } from '../data/issues.ts'
import { parseQuery, QueryError } from '../query/parser.ts'
import type { Clause } from '../query/parser.ts'
import { seesIssue, seesProject } from '../data/visibility.ts'
import { spanOf } from '../data/date-range.ts'
import type { Span } from '../data/date-range.ts'
import { findIssue } from './issues.ts'

/** A query that has been understood: which issues as the index has them, in which order, and what the bounds on `updated` leave. */
export interface Jql extends Span {
  fits: (row: IssueRow) => boolean
  order: 'id' | 'modified'
  descending: boolean
  /** Positions of the projects, when the query names them. */
  projects?: number[]
}

type Test = (row: IssueRow) => boolean
const MOST_ORDERS = 7
const ORDERS: Record<string, Jql['order']> = {
  id: 'id',
  issue: 'id',
  key: 'id',
  issuekey: 'id',
  created: 'id',
  createddate: 'id',
  updated: 'modified',
  updateddate: 'modified'
}
const UNBOUNDED =
  'Unbounded JQL queries are not allowed here. Please add a search restriction to your query.'

/**
 * Reads the part of JQL that is understood here: project, id or key, created, updated, joined by AND (atlassian.md 8.3).
 *
 * @throws {QueryError} for anything else, and for a query without a restriction
 */
export function readJql(call: Call, text: string): Jql {
  const { clauses, order } = parseQuery(text)
  if (clauses.length === 0) throw new QueryError(UNBOUNDED)
  if (order.length > MOST_ORDERS) {
    throw new QueryError(`A maximum of ${MOST_ORDERS} order by fields is allowed.`)
  }
  const unknown = order.find(({ field }) => ORDERS[field] === undefined)
  if (unknown !== undefined) {
    throw new QueryError(`Not able to sort using field '${unknown.field}'.`)
  }
  const tests = clauses.map((clause) => testOf(call, clause)).filter((test) => test !== undefined)
  const first = order[0] ?? { field: 'created', descending: true }
  return {
    fits: (row) => tests.every((test) => test(row)) && seesIssue(call, row, 'index'),
    order: ORDERS[first.field],
    descending: first.descending,
    ...spanOf(
      clauses.filter(({ field }) => ORDERS[field] === 'modified'),
      (clause) => dateOf(call, clause)
    ),
    ...namedProjects(call, clauses)
  }
}

function namedProjects(call: Call, clauses: Clause[]) {
  const named = clauses.find(
    ({ field, operator }) => field === 'project' && (operator === '=' || operator === 'in')
  )
  return named === undefined ? {} : { projects: named.values.map((name) => projectOf(call, name)) }
}

/** @returns undefined for what leaves nothing out */
function testOf(call: Call, clause: Clause): Test | undefined {
  const { field, operator, values } = clause
  if (field === 'project' && isPresence(clause)) return undefined
  if (field === 'project') {
    return among(
      values.map((name) => projectOf(call, name)),
      clause,
      (row) => row.project
    )
  }
  if (['id', 'key', 'issue', 'issuekey'].includes(field)) {
    return among(
      values.map((name) => issueOf(call, name)),
      clause,
      (row) => row.position
    )
  }
  if (field === 'created' || field === 'createddate' || ORDERS[field] === 'modified') {
    const bound = dateOf(call, clause)
    return ORDERS[field] === 'modified'
      ? (row) => compareMinutes(row.modified, operator, bound)
      : (row) => compareMinutes(row.created, operator, bound)
  }
  throw new QueryError(`Field '${field}' does not exist or you do not have permission to view it.`)
}

/** `project is not EMPTY`, the usual way around the ban on unbounded queries. */
function isPresence({ operator, values }: Clause): boolean {
  return (
    (operator === 'is not' || operator === '!=') &&
    ['empty', 'null'].includes(values[0].toLowerCase())
  )
}

function among(
  positions: number[],
  { field, operator }: Clause,
  of: (row: IssueRow) => number
): Test {
  const set = new Set(positions)
  if (operator === '=' || operator === 'in') return (row) => set.has(of(row))
  if (operator === '!=' || operator === 'not in') return (row) => !set.has(of(row))
  throw new QueryError(`The operator '${operator}' is not supported by the '${field}' field.`)
}

function projectOf(call: Call, name: string): number {
  const { projects } = call.site
  const named = () =>
    [...projects.walk({ order: 'id' })].find((row) => row.name.toLowerCase() === name.toLowerCase())
  const row = projects.byId(name) ?? projects.byKey(name) ?? named()
  if (!seesProject(call, row) || row.status !== 'live') {
    throw new QueryError(`The value '${name}' does not exist for the field 'project'.`)
  }
  return row.position
}

function issueOf(call: Call, name: string): number {
  const row = findIssue(call, name)
  if (row === undefined) {
    throw new QueryError(`An issue with key '${name}' does not exist for field 'key'.`)
  }
  return row.position
}

function dateOf({ user, world }: Call, { field, operator, values }: Clause): number {
  if (!['=', '!=', '<', '<=', '>', '>='].includes(operator)) {
    throw new QueryError(`The operator '${operator}' is not supported by the '${field}' field.`)
  }
  const date = readDate(values[0], user.timeZone, world.now())
  if (date === undefined) {
    throw new QueryError(
      `Date value '${values[0]}' for field '${field}' is invalid. Valid formats include: 'yyyy/MM/dd HH:mm', 'yyyy-MM-dd HH:mm', 'yyyy/MM/dd', 'yyyy-MM-dd', or a period format e.g. '-5d', '4w 2d'.`
    )
  }
  return date
}
