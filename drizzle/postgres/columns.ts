import { bigint, customType, index, pgTable, text, uniqueIndex } from 'drizzle-orm/pg-core'
import type { ColumnKit } from '../sqlite/columns.ts'

/**
 * A time in milliseconds since the epoch, as SQLite stores it too, so copies between the engines
 * neither convert time zones nor round.
 */
const instant = customType<{ data: Date; driverData: number }>({
  dataType: () => 'bigint',
  toDriver: (value) => value.getTime(),
  fromDriver: (value) => new Date(Number(value))
})

/** Compared byte by byte, which is by code points, so lists have the same order on every engine. */
const ordered = customType<{ data: string; driverData: string }>({
  dataType: () => 'text collate "C"'
})

/**
 * PostgreSQL's column kit. Proof of the cast: each member makes a column with the same name,
 * TypeScript type and meaning as SQLite's, and test/store/contract.ts runs on both engines.
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
