import { sql, type SQL } from 'drizzle-orm'
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core'
import type { ListedItem, RawRow } from '../../model/items.ts'

export type ColumnsByName = Record<string, SQLiteColumn>

/** Returns a function that maps rows to items with these columns. */
export function createRowMapper(selected: ColumnsByName): (row: RawRow) => ListedItem {
  const mappings = Object.entries(selected).map(([name, column]) => ({
    name,
    column: column.name,
    isDate: column.mapFromDriverValue(0) instanceof Date
  }))
  return (row) => {
    const item: Record<string, unknown> = {}
    for (const { name, column, isDate } of mappings) {
      const value = row[column] ?? null
      item[name] = isDate && value !== null ? new Date(value) : value
    }
    return item as ListedItem
  }
}

/** Bytes of a row in a response beside its texts. */
const ROW_OVERHEAD_BYTES = 256

/** About how many bytes a row has as JSON. Neither engine reads a long text to tell its length. */
export function sumBytes(selected: ColumnsByName): SQL {
  const lengths = Object.values(selected)
    .filter((column) => column.getSQLType().startsWith('text'))
    .map((column) => sql`coalesce(octet_length(${column}), 0)`)
  return sql.join([sql.raw(String(ROW_OVERHEAD_BYTES)), ...lengths], sql` + `)
}
