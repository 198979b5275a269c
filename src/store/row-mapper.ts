import { sql, type Column, type GetColumnData, type SQL } from 'drizzle-orm'
import type { RawRow } from './engine.ts'

/** A row with these columns, as the repositories use it. */
type RowOf<C extends Record<string, Column>> = { [Name in keyof C]: GetColumnData<C[Name]> }

/**
 * Returns a function that maps the rows of a prepared statement, which have the database's names
 * and times in milliseconds. Name the type `Row` where the columns are known at run time only.
 *
 * @param prefix with which `selectAs` has renamed the columns
 */
export function createRowMapper<C extends Record<string, Column>, Row = RowOf<C>>(
  selected: C,
  prefix = ''
): (row: RawRow) => Row {
  const mappings = Object.entries(selected).map(([name, column]) => ({
    name,
    column: prefix + column.name,
    isDate: column.mapFromDriverValue(0) instanceof Date
  }))
  return (row) => {
    const mapped: Record<string, unknown> = {}
    for (const { name, column, isDate } of mappings) {
      const value = row[column] ?? null
      mapped[name] = isDate && value !== null ? new Date(value) : value
    }
    return mapped as Row
  }
}

/** Selects columns under other names, for a statement that joins tables with equal names. */
export function selectAs(
  prefix: string,
  columns: Record<string, Column>
): Record<string, SQL.Aliased> {
  return Object.fromEntries(
    Object.values(columns).map((column) => {
      const name = prefix + column.name
      return [name, sql`${column}`.as(name)]
    })
  )
}

/** Placeholders for the values of these columns, to be bound by the same names. */
export function toPlaceholders<Name extends string>(
  columns: Record<Name, Column>
): Record<Name, never> {
  return Object.fromEntries(
    Object.keys(columns).map((name) => [name, sql.placeholder(name)])
  ) as Record<Name, never>
}
