import { createHash } from 'node:crypto'
import type { RawDatabase, CellRow } from './raw-database.ts'
import type { TableShape } from './table-order.ts'

const MAX_BATCH_ROWS = 1_000
/** Approximate size of a batch in characters, since rows may be long. */
const MAX_BATCH_CHARS = 4_000_000
/**
 * The first batch of a table measures the length of its rows; later batches are sized
 * accordingly.
 */
const INITIAL_BATCH_ROWS = 64
const BATCH_GROWTH_FACTOR = 4

/**
 * Reads a table in primary-key order, one batch in memory at a time.
 *
 * @param after the key of the row to start behind; undefined: from the beginning
 */
export async function* readBatches(
  from: RawDatabase,
  table: TableShape,
  { after, maxRows = Infinity }: { after?: CellRow | undefined; maxRows?: number } = {}
): AsyncGenerator<CellRow[]> {
  const columns = table.columns.map(({ name }) => `"${name}"`).join()
  const key = pickPrimaryKey(table, table.columns).map(from.orderExpression).join()
  let [remaining, limit] = [maxRows, INITIAL_BATCH_ROWS]
  while (remaining > 0) {
    const where = after === undefined ? '' : `where (${key}) > (${after.map(() => '?').join()})`
    const batchRows = Math.min(remaining, limit)
    const rows = await from.query(
      `select ${columns} from "${table.name}" ${where} order by ${key} limit ?`,
      [...(after ?? []), batchRows]
    )
    if (rows.length > 0) yield rows
    if (rows.length < batchRows) return
    after = pickPrimaryKey(table, rows.at(-1) as CellRow)
    remaining -= rows.length
    limit = Math.max(
      1,
      Math.min(
        MAX_BATCH_ROWS,
        limit * BATCH_GROWTH_FACTOR,
        Math.floor((MAX_BATCH_CHARS * rows.length) / countChars(rows))
      )
    )
  }
}

/** Picks the primary-key members out of a row's values or columns. */
export function pickPrimaryKey<T>({ primaryKey: key }: TableShape, row: readonly T[]): T[] {
  return key.map((index) => row[index] as T)
}

function countChars(rows: CellRow[]): number {
  let length = 1
  for (const row of rows) {
    for (const cell of row) if (typeof cell === 'string') length += cell.length
  }
  return length
}

/**
 * The number of rows, and the SHA-256 over each row as a JSON array and a line feed, in
 * primary-key order.
 */
export interface RowDigest {
  add: (rows: readonly CellRow[]) => void
  rowCount: () => number
  sha256: () => string
}

/** Computes the digest of rows as they are added. */
export function createRowDigest(): RowDigest {
  const hash = createHash('sha256')
  let count = 0
  return {
    add(rows) {
      count += rows.length
      hash.update(rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    },
    rowCount: () => count,
    sha256: () => hash.copy().digest('hex')
  }
}

export function isSameDigest(one: RowDigest, other: RowDigest): boolean {
  return one.rowCount() === other.rowCount() && one.sha256() === other.sha256()
}
