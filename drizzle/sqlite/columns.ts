import { index, integer, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core'

/**
 * The column kit: the table definitions in `drizzle/` use only these members, so another engine
 * needs only another kit.
 *
 * `ordered` is text that lists are sorted by, compared by code points on every engine (SQLite's
 * default collation, BINARY, does that). `instant` is a time in milliseconds, a `Date` in
 * TypeScript.
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

/** Returns the column that identifies a user, for foreign keys. */
export type UserIdReference = NonNullable<
  Parameters<ReturnType<ColumnKit['integer']>['references']>[0]
>
