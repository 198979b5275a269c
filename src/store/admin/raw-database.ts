import type { TableShape } from './table-order.ts'

export type CellValue = string | number | null
/** The values of one row, in the order of its table's columns. */
export type CellRow = CellValue[]

/** The migrations that a database has had: how many, and the moment of the newest (0: none). */
export interface MigrationState {
  count: number
  latest: number
}

/** One database at the lowest level, for what is done to a whole of it. The service itself never uses this. */
export interface RawDatabase {
  readonly tables: readonly TableShape[]
  /** Which database this is, without user and password. */
  readonly identity: string
  /** The moment of this version's newest migration. */
  readonly latestMigration: number
  /** Runs one statement, whose values stand as `?`. */
  query: (sql: string, values?: readonly CellValue[]) => Promise<CellRow[]>
  /** Inserts rows, all or none of them. */
  insertRows: (table: TableShape, rows: readonly CellRow[]) => Promise<void>
  /** A column as it is compared and sorted by: by code points on every engine. */
  orderExpression: (column: TableShape['columns'][number]) => string
  /** The names of all tables that are there, ours or not. */
  tableNames: () => Promise<string[]>
  migrationState: () => Promise<MigrationState>
  /** Whether a service seems to be using it. */
  isInUse: () => Promise<boolean>
  /** The highest id that was ever handed out; rows of it may be gone. */
  lastSequence: (table: TableShape) => Promise<number>
  /** Has the next id be the one after `highest`. */
  setSequence: (table: TableShape, maxId: number) => Promise<void>
  /** To be done once after many rows were written. */
  finishBulkLoad: () => Promise<void>
  close: () => Promise<void>
}
