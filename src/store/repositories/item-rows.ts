import { sql, type SQL } from 'drizzle-orm'
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core'

export type ColumnsByName = Record<string, SQLiteColumn>

/** Bytes of a row in a response beside its texts. */
const ROW_OVERHEAD_BYTES = 256

/** About how many bytes a row has as JSON. Neither engine reads a long text to tell its length. */
export function sumBytes(selected: ColumnsByName): SQL {
  const lengths = Object.values(selected)
    .filter((column) => column.getSQLType().startsWith('text'))
    .map((column) => sql`coalesce(octet_length(${column}), 0)`)
  return sql.join([sql.raw(String(ROW_OVERHEAD_BYTES)), ...lengths], sql` + `)
}
