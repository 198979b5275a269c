import type { Table } from './table-order.ts'

export type Cell = string | number | null
/** The values of one row, in the order of its table's columns. */
export type Row = Cell[]

/** The migrations that a database has had: how many, and the moment of the newest (0: none). */
export interface Applied {
  count: number
  newest: number
}

/** One database at the lowest level, for what is done to a whole of it. The service itself never uses this. */
export interface Connection {
  readonly tables: readonly Table[]
  /** Which database this is, without user and password. */
  readonly identity: string
  /** The moment of this version's newest migration. */
  readonly newest: number
  /** Runs one statement, whose values stand as `?`. */
  ask: (sql: string, values?: readonly Cell[]) => Promise<Row[]>
  /** Inserts rows, all or none of them. */
  insert: (table: Table, rows: readonly Row[]) => Promise<void>
  /** A column as it is compared and sorted by: by code points on every engine. */
  sorted: (column: Table['columns'][number]) => string
  /** The names of all tables that are there, ours or not. */
  names: () => Promise<string[]>
  applied: () => Promise<Applied>
  /** Whether a service seems to be using it. */
  isInUse: () => Promise<boolean>
  /** The highest id that was ever handed out; rows of it may be gone. */
  counted: (table: Table) => Promise<number>
  /** Has the next id be the one after `highest`. */
  countFrom: (table: Table, highest: number) => Promise<void>
  /** To be done once after many rows were written. */
  settle: () => Promise<void>
  close: () => Promise<void>
}

/** What an engine's file here exports. */
interface ConnectionModule {
  /**
   * Opens a database to be read as it is at this moment, whatever others write to it meanwhile. Nothing can be written to it.
   * @param name what calls it, for sentences: the setting or the option
   * @throws StartError a sentence: it is not there, or cannot be read
   */
  openSource: (url: string, name: string) => Promise<Connection>
  /**
   * Opens a database for nobody else to write to.
   * @throws StartError a sentence: it cannot be written, or somebody else has it open
   */
  openTarget: (url: string, name: string) => Promise<Connection>
}

/** The file of the engine that an address is for. Only its driver is loaded. */
export async function engineOf(url: string): Promise<ConnectionModule> {
  return isSqlite(url) ? await import('./raw-sqlite.ts') : await import('./raw-postgres.ts')
}

export function isSqlite(url: string): boolean {
  return url.startsWith('sqlite:')
}
