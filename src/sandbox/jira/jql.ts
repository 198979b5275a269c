import type { GatewayCall } from '../state.ts'
import { compareMinutes, parseQueryDate } from '../query/dates.ts'
import type { IssueRow } from '../data/issues.ts'
import { parseQuery, QueryError } from '../query/parser.ts'
import type { QueryClause } from '../query/parser.ts'
import { canSeeIssue, canSeeProject } from '../data/visibility.ts'
import { toDateRange } from '../data/date-range.ts'
import type { DateRange } from '../data/date-range.ts'
import { findIssue } from './issues.ts'

/** A parsed query: a predicate on indexed issues, an order, and the range of `updated`. */
export interface JqlQuery extends DateRange {
  matches: (row: IssueRow) => boolean
  order: 'id' | 'modified'
  descending: boolean
  /** Whether it names no issue and no time of a change: a listing and not a look-up. */
  isListing: boolean
  /** Whether it reads a listing from its beginning. */
  startsListing: boolean
  /** Positions of the projects, if the query names any. */
  projects?: number[]
}

type IssuePredicate = (row: IssueRow) => boolean
const MAX_ORDER_FIELDS = 7
const SORT_ORDERS: Record<string, JqlQuery['order']> = {
  id: 'id',
  issue: 'id',
  key: 'id',
  issuekey: 'id',
  created: 'id',
  createddate: 'id',
  updated: 'modified',
  updateddate: 'modified'
}
const LISTING_FIELDS = ['project', 'created', 'createddate']
const KNOWN_FIELDS = 'project, id, key, issue, issuekey, created, updated'
const UNBOUNDED_MESSAGE =
  'Unbounded JQL queries are not allowed here. Please add a search restriction to your query.'

/**
 * Parses the supported part of JQL: project, id or key, created, updated, joined by AND
 * (docs/reference/atlassian.md#83-jql-search).
 *
 * @throws {QueryError} for any other query, and for a query without a restriction
 */
export function parseJql(call: GatewayCall, text: string): JqlQuery {
  const { clauses, order } = parseQuery(text)
  if (clauses.length === 0) throw new QueryError(UNBOUNDED_MESSAGE)
  if (order.length > MAX_ORDER_FIELDS) {
    throw new QueryError(`JQL can be ordered by at most ${MAX_ORDER_FIELDS} fields.`)
  }
  const unknown = order.find(({ field }) => SORT_ORDERS[field] === undefined)
  if (unknown !== undefined) {
    throw new QueryError(`Not able to sort using field '${unknown.field}'.`)
  }
  const predicates = clauses
    .map((clause) => buildIssuePredicate(call, clause))
    .filter((test) => test !== undefined)
  const first = order[0] ?? { field: 'created', descending: true }
  return {
    matches: (row) => predicates.every((test) => test(row)) && canSeeIssue(call, row, 'index'),
    order: SORT_ORDERS[first.field] ?? 'id',
    descending: first.descending,
    isListing: clauses.every(({ field }) => LISTING_FIELDS.includes(field)),
    startsListing: clauses.every(({ field }) => field === 'project'),
    ...toDateRange(
      clauses.filter(({ field }) => SORT_ORDERS[field] === 'modified'),
      (clause) => resolveJqlDate(call, clause)
    ),
    ...findNamedProjects(call, clauses)
  }
}

function findNamedProjects(call: GatewayCall, clauses: QueryClause[]) {
  const projectClause = clauses.find(
    ({ field, operator }) => field === 'project' && (operator === '=' || operator === 'in')
  )
  return projectClause === undefined
    ? {}
    : { projects: projectClause.values.map((name) => resolveProject(call, name)) }
}

/** @returns undefined for a clause that excludes nothing */
function buildIssuePredicate(call: GatewayCall, clause: QueryClause): IssuePredicate | undefined {
  const { field, operator, values } = clause
  if (field === 'project' && isPresenceCheck(clause)) return undefined
  if (field === 'project') {
    return buildIssueMembershipTest(
      values.map((name) => resolveProject(call, name)),
      clause,
      (row) => row.project
    )
  }
  if (['id', 'key', 'issue', 'issuekey'].includes(field)) {
    return buildIssueMembershipTest(
      values.map((name) => resolveIssue(call, name)),
      clause,
      (row) => row.position
    )
  }
  if (field === 'created' || field === 'createddate' || SORT_ORDERS[field] === 'modified') {
    const bound = resolveJqlDate(call, clause)
    return SORT_ORDERS[field] === 'modified'
      ? (row) => compareMinutes(row.modified, operator, bound)
      : (row) => compareMinutes(row.created, operator, bound)
  }
  throw new QueryError(
    `Field '${field}' does not exist or you do not have permission to view it. ` +
      `The sandbox knows ${KNOWN_FIELDS}, joined by AND, and no functions but now().`
  )
}

/** `project is not EMPTY`, which clients use because queries without a restriction are rejected. */
function isPresenceCheck({ operator, values }: QueryClause): boolean {
  return (
    (operator === 'is not' || operator === '!=') &&
    ['empty', 'null'].includes(values[0].toLowerCase())
  )
}

function buildIssueMembershipTest(
  positions: number[],
  { field, operator }: QueryClause,
  readValue: (row: IssueRow) => number
): IssuePredicate {
  const set = new Set(positions)
  if (operator === '=' || operator === 'in') return (row) => set.has(readValue(row))
  if (operator === '!=' || operator === 'not in') return (row) => !set.has(readValue(row))
  throw new QueryError(`The operator '${operator}' is not supported by the '${field}' field.`)
}

function resolveProject(call: GatewayCall, name: string): number {
  const { projects } = call.site
  const findByName = () =>
    [...projects.scan({ order: 'id' })].find((row) => row.name.toLowerCase() === name.toLowerCase())
  const row = projects.findById(name) ?? projects.findByKey(name) ?? findByName()
  if (call.isAnonymous) return -1
  if (!canSeeProject(call, row) || row.status !== 'live') {
    throw new QueryError(`The value '${name}' does not exist for the field 'project'.`)
  }
  return row.position
}

function resolveIssue(call: GatewayCall, name: string): number {
  const row = findIssue(call, name)
  if (row === undefined) {
    throw new QueryError(`An issue with key '${name}' does not exist for field 'key'.`)
  }
  return row.position
}

function resolveJqlDate(
  { user, state }: GatewayCall,
  { field, operator, values }: QueryClause
): number {
  if (!['=', '!=', '<', '<=', '>', '>='].includes(operator)) {
    throw new QueryError(`The operator '${operator}' is not supported by the '${field}' field.`)
  }
  const date = parseQueryDate(values[0], user.timeZone, state.now())
  if (date === undefined) {
    throw new QueryError(
      `Date value '${values[0]}' for field '${field}' is invalid. Valid formats include: ` +
        "'yyyy/MM/dd HH:mm', 'yyyy-MM-dd HH:mm', 'yyyy/MM/dd', 'yyyy-MM-dd', " +
        "or a period format e.g. '-5d', '4w 2d'."
    )
  }
  return date
}
