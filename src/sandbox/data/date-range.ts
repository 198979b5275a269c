import { MINUTE_MS } from '../query/dates.ts'
import type { ScanOrder, ScanPosition } from './iteration-order.ts'
import type { QueryClause } from '../query/parser.ts'
import type { Row } from './row.ts'

/**
 * The range of modification times that a query selects, in milliseconds since the epoch.
 * Includes `from`, excludes `to`.
 */
export interface DateRange {
  from?: number
  to?: number
}

type OrderedRange = DateRange & Pick<ScanOrder, 'order' | 'descending'>

/** @param clauses the clauses on the modification time */
export function toDateRange(
  clauses: QueryClause[],
  dateOf: (clause: QueryClause) => number
): DateRange {
  const bounds = (operators: string[]) =>
    clauses.filter(({ operator }) => operators.includes(operator)).map(dateOf)
  const [lower, upper] = [bounds(['>', '>=', '=']), bounds(['<', '<=', '='])]
  return {
    ...(lower.length > 0 && { from: Math.max(...lower) }),
    ...(upper.length > 0 && { to: Math.min(...upper) + MINUTE_MS })
  }
}

/** Where a scan by modification time starts, so that it skips rows before the range. */
export function findScanStart({
  order,
  descending = false,
  from,
  to
}: OrderedRange): ScanPosition | undefined {
  if (order !== 'modified') return undefined
  if (descending) return to === undefined ? undefined : { value: to, position: -1 }
  return from === undefined ? undefined : { value: from - 1, position: Number.MAX_SAFE_INTEGER }
}

/** Whether a scan by modification time has passed the end of the range. */
export function isPastRange(
  { order, descending = false, from, to }: OrderedRange,
  { modified }: Row
): boolean {
  if (order !== 'modified') return false
  return descending ? from !== undefined && modified < from : to !== undefined && modified >= to
}
