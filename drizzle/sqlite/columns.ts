import { index, integer, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core'

/**
 * The column kit: the only words `tables.ts` may use, so that an engine is added by writing one more kit.
 *
 * `ordered` is text that lists are sorted by: code points on every engine (SQLite's BINARY collation does that by itself).
 * `instant` is a moment with millisecond resolution, a `Date` in TypeScript.
 */
export const columns = {
  table: sqliteTable,
  unique: uniqueIndex,
  index,
  integer,
  text,
  ordered: (name: string) => text(name),
  id: () => integer('id').primaryKey({ autoIncrement: true }),
  instant: (name: string) => integer(name, { mode: 'timestamp_ms' })
}

export type ColumnKit = typeof columns
