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
