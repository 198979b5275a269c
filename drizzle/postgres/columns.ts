import { bigint, customType, index, pgTable, text, uniqueIndex } from 'drizzle-orm/pg-core'
import type { ColumnKit } from '../sqlite/columns.ts'

/** A moment in milliseconds since the epoch, as the other engine keeps it too: no zone and no rounding between the two. */
const instant = customType<{ data: Date; driverData: number }>({
  dataType: () => 'bigint',
  toDriver: (value) => value.getTime(),
  fromDriver: (value) => new Date(Number(value))
})

/** Compared byte by byte, which is by code points: the order of a list is the same on every engine. */
const ordered = customType<{ data: string; driverData: string }>({
  dataType: () => 'text collate "C"'
})

/**
 * PostgreSQL's column kit. Proof of the cast: every word makes a column of the same name, type in TypeScript and meaning as
 * SQLite's does; the contract suite asks both for the same things.
 */
export const columns = {
  table: pgTable,
  unique: uniqueIndex,
  index,
  integer: (name: string) => bigint(name, { mode: 'number' }),
  text,
  ordered,
  id: () => bigint('id', { mode: 'number' }).primaryKey().generatedByDefaultAsIdentity(),
  instant
} as unknown as ColumnKit
