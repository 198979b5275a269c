import type { GatewayCall } from '../state.ts'
import { compareMinutes, parseQueryDate } from '../query/dates.ts'
import type { ContainerRow } from '../data/containers.ts'
import type { PageRow } from '../data/pages.ts'
import { parseQuery, QueryError } from '../query/parser.ts'
import type { QueryClause } from '../query/parser.ts'
import { canSeePage, canSeeSpace } from '../data/visibility.ts'
import { toDateRange } from '../data/date-range.ts'
import type { DateRange } from '../data/date-range.ts'

/** A parsed query: a predicate on indexed pages, an order, and the range of `lastmodified`. */
export interface CqlQuery extends DateRange {
  matches: (row: PageRow) => boolean
  order: 'id' | 'modified'
  descending: boolean
  /** Words that the query searches in titles; search results highlight them. */
  searchTerms: string[]
}

const SORT_ORDERS: Record<string, CqlQuery['order']> = {
  lastmodified: 'modified',
  created: 'id',
  id: 'id'
}
const CONTENT_TYPES = [
  'page',
  'blogpost',
  'comment',
  'attachment',
  'space',
  'folder',
  'database',
  'whiteboard',
  'embed'
]
const COMPARISON_OPERATORS = ['=', '!=', '<', '<=', '>', '>=']

/**
 * Parses the supported part of CQL: type, space, id, title ~, lastmodified, created, joined by
 * AND.
 *
 * @throws {QueryError} for any other query. Like Atlassian's CQL it has no `status` field
 *   (docs/reference/atlassian.md#94-cql-search)
 */
export function parseCql(call: GatewayCall, text: string): CqlQuery {
  const { clauses, order } = parseQuery(text)
  if (clauses.length === 0) throw new QueryError(`Could not parse cql : ${text}`)
  const first = order[0] ?? { field: 'id', descending: false }
  const sortOrder = SORT_ORDERS[first.field]
  if (sortOrder === undefined) {
    throw new QueryError(`Cannot sort by '${first.field}'.`)
  }
  const predicates = clauses.map((clause) => buildPagePredicate(call, clause))
  return {
    matches: (row) =>
      row.status === 'current' &&
      predicates.every((test) => test(row)) &&
      canSeePage(call, row, 'index'),
    order: sortOrder,
    descending: first.descending,
    searchTerms: clauses
      .filter(({ field, operator }) => field === 'title' && operator === '~')
      .map(({ values }) => stripWildcards(values[0])),
    ...toDateRange(
      clauses.filter(({ field }) => field === 'lastmodified'),
      (clause) => resolveCqlDate(call, clause)
    )
  }
}

/**
 * The folders that a query for folders finds: `type = folder` with title and space.
 *
 * @returns undefined for a query for other contents
 */
export function parseFolderSearch(call: GatewayCall, text: string): ContainerRow[] | undefined {
  const { clauses } = parseQuery(text)
  const isForFolders = clauses.some(
    ({ field, operator, values }) =>
      field === 'type' && operator === '=' && values[0].toLowerCase() === 'folder'
  )
  if (!isForFolders) return undefined
  const { spaces, containers } = call.site
  const predicates = clauses.map((clause): ((row: ContainerRow) => boolean) => {
    const { field, values } = clause
    if (field === 'type') return ({ type }) => type === 'folder'
    if (field === 'title') return buildTitlePredicate(clause, ({ title }) => title.toLowerCase())
    if (field === 'space' || field === 'space.key') {
      const positions = values.map((key) => spaces.findByKey(key)?.position)
      return ({ space }) => positions.includes(space)
    }
    throw new QueryError(`The sandbox finds folders by type, title and space, not by '${field}'.`)
  })
  return [...containers.list()].filter(
    (row) =>
      predicates.every((test) => test(row)) && canSeeSpace(call, spaces.at(row.space, 'index'))
  )
}

function buildPagePredicate(call: GatewayCall, clause: QueryClause): (row: PageRow) => boolean {
  const { field, operator, values } = clause
  const {
    site: { spaces, pages }
  } = call
  switch (field) {
    case 'type':
      return buildPageMembershipTest(clause, parseTypes(values), () => 'page')
    case 'space':
    case 'space.key':
      return buildPageMembershipTest(
        clause,
        values.map((key) => spaces.findByKey(key)?.position),
        (row) => row.space
      )
    case 'id':
    case 'content':
      return buildPageMembershipTest(clause, values, (row) => row.id)
    case 'title':
      return buildTitlePredicate(clause, (row) => pages.title(row).toLowerCase())
    case 'created':
    case 'lastmodified': {
      const bound = resolveCqlDate(call, clause)
      return (row) =>
        compareMinutes(field === 'created' ? row.created : row.modified, operator, bound)
    }
    default:
      throw new QueryError(
        `No field exists with the name: '${field}'. ` +
          'Did you mean one of : space, space.key, type, id, content, title, created, lastmodified'
      )
  }
}

/** @throws {QueryError} for a type that the site does not have */
function parseTypes(values: string[]): string[] {
  const types = values.map((value) => value.toLowerCase())
  const unknown = types.find((type) => !CONTENT_TYPES.includes(type))
  if (unknown !== undefined) {
    throw new QueryError(
      `Unsupported value '${unknown}' for field 'type'. Expected one of ${CONTENT_TYPES.join(', ')}`
    )
  }
  return types
}

/** An unknown space matches nothing and is not an error. */
function buildPageMembershipTest<T>(
  { field, operator }: QueryClause,
  expected: T[],
  readValue: (row: PageRow) => T
): (row: PageRow) => boolean {
  if (operator === '=' || operator === 'in') return (row) => expected.includes(readValue(row))
  if (operator === '!=' || operator === 'not in') return (row) => !expected.includes(readValue(row))
  throw new QueryError(`Operator '${operator}' is not supported for field '${field}'.`)
}

function buildTitlePredicate<R>(
  { operator, values }: QueryClause,
  readValue: (row: R) => string
): (row: R) => boolean {
  const expected = values[0].toLowerCase()
  if (expected === '') throw new QueryError("The value of field 'title' must not be empty.")
  if (operator === '=') return (row) => readValue(row) === expected
  if (operator === '~') return (row) => readValue(row).includes(stripWildcards(expected))
  throw new QueryError(`Operator '${operator}' is not supported for field 'title'.`)
}

function stripWildcards(text: string): string {
  return text.replaceAll(/^[*"]+|(?<![*"])[*"]+$/g, '')
}

function resolveCqlDate(
  { user, state }: GatewayCall,
  { field, operator, values }: QueryClause
): number {
  if (!COMPARISON_OPERATORS.includes(operator)) {
    throw new QueryError(`Operator '${operator}' is not supported for field '${field}'.`)
  }
  const date = parseQueryDate(values[0], user.timeZone, state.now())
  if (date === undefined) throw new QueryError(`Could not parse cql: '${values[0]}' is not a date.`)
  return date
}
