import { createHash } from 'node:crypto'
import type { Connection, Row } from './raw-database.ts'
import type { Table } from './table-order.ts'

const MOST_ROWS = 1_000
/** Characters of a batch, about: rows may be long, and as many of them are read as fit. */
const MOST_TEXT = 4_000_000
/** A table's first batch tells how long its rows are; later ones grow by that factor. */
const FIRST_ROWS = 64
const GROWTH = 4

/**
 * Reads a table in the order of its primary key, one batch in memory at a time.
 *
 * @param after the key of the row before the first; undefined: from the beginning
 */
export async function* batches(
  from: Connection,
  table: Table,
  { after, atMost = Infinity }: { after?: Row | undefined; atMost?: number } = {}
): AsyncGenerator<Row[]> {
  const columns = table.columns.map(({ name }) => `"${name}"`).join()
  const key = keyOf(table, table.columns).map(from.sorted).join()
  let [left, limit] = [atMost, FIRST_ROWS]
  while (left > 0) {
    const where = after === undefined ? '' : `where (${key}) > (${after.map(() => '?').join()})`
    const wanted = Math.min(left, limit)
    const rows = await from.ask(
      `select ${columns} from "${table.name}" ${where} order by ${key} limit ?`,
      [...(after ?? []), wanted]
    )
    if (rows.length > 0) yield rows
    if (rows.length < wanted) return
    after = keyOf(table, rows.at(-1) as Row)
    left -= rows.length
    limit = Math.max(
      1,
      Math.min(MOST_ROWS, limit * GROWTH, Math.floor((MOST_TEXT * rows.length) / textOf(rows)))
    )
  }
}

/** What belongs to the primary key, of a row's values or of the columns. */
export function keyOf<T>({ key }: Table, row: readonly T[]): T[] {
  return key.map((at) => row[at] as T)
}

function textOf(rows: Row[]): number {
  let length = 1
  for (const row of rows) {
    for (const cell of row) if (typeof cell === 'string') length += cell.length
  }
  return length
}

/** How many rows, and the SHA-256 of each row's values as a JSON array and a line feed, in the order of the primary key. */
export interface Digest {
  add: (rows: readonly Row[]) => void
  rows: () => number
  sha256: () => string
}

/** The digest of the rows that are added, so far. */
export function createDigest(): Digest {
  const hash = createHash('sha256')
  let count = 0
  return {
    add(rows) {
      count += rows.length
      hash.update(rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    },
    rows: () => count,
    sha256: () => hash.copy().digest('hex')
  }
}

export function isSame(one: Digest, other: Digest): boolean {
  return one.rows() === other.rows() && one.sha256() === other.sha256()
}
