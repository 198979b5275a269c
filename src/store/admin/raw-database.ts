import type { TableShape } from './table-order.ts'

export type CellValue = string | number | null
/** The values of one row, in the order of its table's columns. */
export type CellRow = CellValue[]

/**
 * The applied migrations: their number, and the time of the newest in ms since the epoch (0:
 * none).
 */
interface MigrationState {
  count: number
  latest: number
}

/**
 * Low-level access for operations on a whole database. Only the commands use it, never the
 * service.
 */
export interface RawDatabase {
  readonly tables: readonly TableShape[]
  /** Identifies the database, without user and password. */
  readonly identity: string
  /** The time of this version's newest migration, in ms since the epoch. */
  readonly latestMigration: number
  /** Runs one statement; each `?` in it stands for a value. */
  query: (sql: string, values?: readonly CellValue[]) => Promise<CellRow[]>
  /** Inserts all rows or none. */
  insertRows: (table: TableShape, rows: readonly CellRow[]) => Promise<void>
  /** The SQL expression that compares and sorts a column by code points on every engine. */
  orderExpression: (column: TableShape['columns'][number]) => string
  /** The names of all tables in the database, including those of other programs. */
  tableNames: () => Promise<string[]>
  migrationState: () => Promise<MigrationState>
  /** Whether a service appears to use the database. */
  isInUse: () => Promise<boolean>
  /** The highest id ever assigned; its row may be gone. */
  lastSequence: (table: TableShape) => Promise<number>
  /** Makes the next assigned id `maxId` + 1. */
  setSequence: (table: TableShape, maxId: number) => Promise<void>
  /** Call it once after inserting many rows. */
  finishBulkLoad: () => Promise<void>
  close: () => Promise<void>
}
