import type { Call } from '../gateway/call.ts'
import { compareMinutes, readDate } from '../query/dates.ts'
import type { PageRow } from '../data/pages.ts'
import { parseQuery, QueryError } from '../query/parser.ts'
import type { Clause } from '../query/parser.ts'
import { seesPage } from '../data/visibility.ts'
import { spanOf } from '../data/date-range.ts'
import type { Span } from '../data/date-range.ts'

/** A query that has been understood: which pages as the index has them, in which order, and what the bounds on `lastmodified` leave. */
export interface Cql extends Span {
  fits: (row: PageRow) => boolean
  order: 'id' | 'modified'
  descending: boolean
  /** Words looked for in titles, for the highlight marks. */
  words: string[]
}

const ORDERS: Record<string, Cql['order']> = { lastmodified: 'modified', created: 'id', id: 'id' }
const COMPARISONS = ['=', '!=', '<', '<=', '>', '>=']

/**
 * Reads the part of CQL that is understood here: type, space, id, title ~, lastmodified, created, joined by AND.
 *
 * @throws {QueryError} for anything else. There is no `status` field, as in the real one (atlassian.md 9.4)
 */
export function readCql(call: Call, text: string): Cql {
  const { clauses, order } = parseQuery(text)
  if (clauses.length === 0) throw new QueryError(`Could not parse cql : ${text}`)
  const first = order[0] ?? { field: 'id', descending: false }
  if (ORDERS[first.field] === undefined) throw new QueryError(`Cannot sort by '${first.field}'.`)
  const tests = clauses.map((clause) => testOf(call, clause))
  return {
    fits: (row) =>
      row.status === 'current' && tests.every((test) => test(row)) && seesPage(call, row, 'index'),
    order: ORDERS[first.field],
    descending: first.descending,
    words: clauses
      .filter(({ field, operator }) => field === 'title' && operator === '~')
      .map(({ values }) => bare(values[0])),
    ...spanOf(
      clauses.filter(({ field }) => field === 'lastmodified'),
      (clause) => dateOf(call, clause)
    )
  }
}

function testOf(call: Call, clause: Clause): (row: PageRow) => boolean {
  const { field, operator, values } = clause
  const {
    site: { spaces, pages }
  } = call
  switch (field) {
    case 'type':
      return among(
        clause,
        values.map((value) => value.toLowerCase()),
        () => 'page'
      )
    case 'space':
    case 'space.key':
      return among(
        clause,
        values.map((key) => spaces.byKey(key)?.position),
        (row) => row.space
      )
    case 'id':
    case 'content':
      return among(clause, values, (row) => row.id)
    case 'title':
      return titleTest(clause, (row) => pages.title(row).toLowerCase())
    case 'created':
    case 'lastmodified': {
      const bound = dateOf(call, clause)
      return (row) =>
        compareMinutes(field === 'created' ? row.created : row.modified, operator, bound)
    }
    default:
      throw new QueryError(`Could not parse cql: no field '${field}'.`)
  }
}

/** A space that does not exist matches nothing and is no error. */
function among<T>(
  { field, operator }: Clause,
  wanted: T[],
  of: (row: PageRow) => T
): (row: PageRow) => boolean {
  if (operator === '=' || operator === 'in') return (row) => wanted.includes(of(row))
  if (operator === '!=' || operator === 'not in') return (row) => !wanted.includes(of(row))
  throw new QueryError(`Operator '${operator}' is not supported for field '${field}'.`)
}

function titleTest(
  { operator, values }: Clause,
  of: (row: PageRow) => string
): (row: PageRow) => boolean {
  const wanted = values[0].toLowerCase()
  if (operator === '=') return (row) => of(row) === wanted
  if (operator === '~') return (row) => of(row).includes(bare(wanted))
  throw new QueryError(`Operator '${operator}' is not supported for field 'title'.`)
}

function bare(text: string): string {
  return text.replaceAll(/^[*"]+|(?<![*"])[*"]+$/g, '')
}

function dateOf({ user, world }: Call, { field, operator, values }: Clause): number {
  if (!COMPARISONS.includes(operator)) {
    throw new QueryError(`Operator '${operator}' is not supported for field '${field}'.`)
  }
  const date = readDate(values[0], user.timeZone, world.now())
  if (date === undefined) throw new QueryError(`Could not parse cql: '${values[0]}' is not a date.`)
  return date
}
