import type { QueryPromise, SQL, SQLWrapper } from 'drizzle-orm'
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3'
import type { Tables } from '../../drizzle/tables.ts'
import type { ItemTableShape, RawRow } from '../model/items.ts'
import type { PoolWait } from './postgres/wait-estimate.ts'

export type { RawRow }

/**
 * Drizzle's handle, typed as SQLite's. The PostgreSQL engine casts its own handle to this type;
 * test/store/contract.ts runs every repository on both engines to prove the cast.
 */
export type Database = BetterSQLite3Database

/** A statement that has been built and not yet run. */
export interface Statement {
  toSQL: () => { sql: string; params: unknown[] }
}

/** Builds a statement that runs inside a transaction of the caller. */
export type StatementBuilder = (db: Database) => Statement

/**
 * The statements of one transaction, where a later statement may use the rows an earlier one
 * returned. A generator cannot await, so nothing else happens between two statements, whether
 * the engine runs them synchronously or waits for each answer.
 */
export type TransactionScript<T> = Generator<Statement, T, RawRow[]>

/** What transactions that share a commit know of a chain. A transaction replaces the state. */
export interface ChainLink<S> {
  state: S
}

/**
 * A chain of rows with one head, to which many transactions append. Those that share a commit read
 * the head once, append in turn, and write it once.
 */
export interface SharedChain<S> {
  /** The table of the head: the writers of all processes wait for its lock. */
  lockTable: string
  /** Reads the head. Writes nothing, because the transaction that needs it first may be undone. */
  open: () => TransactionScript<S>
  /** Writes the head, after the last of the transactions. */
  close: (state: S) => Statement[]
}

/** A value bound to a placeholder. */
export type BindValue = string | number | Date | null

/**
 * A compiled query. Call it to run it, or bind its values to make it one statement of a
 * transaction.
 */
export interface PreparedStatement {
  (values: Record<string, BindValue>): Promise<RawRow[]>
  bind: (values: Record<string, BindValue>) => Statement
  /** Binds a statement that writes many rows; its placeholders are named by `rowPlaceholder`. */
  bindRows: (rows: ReadonlyArray<Record<string, BindValue>>) => Statement
}

/** Names the placeholder for one column of one row in a statement of many rows. */
export function rowPlaceholder(row: number, name: string): string {
  return `${row}.${name}`
}

/**
 * What the store needs from a database. Each repository is written once, against this interface.
 */
export interface Engine {
  readonly db: Database
  readonly tables: Tables
  /**
   * Runs one writing statement. While another process holds the write lock it waits without
   * blocking the event loop. The embedded engine commits all writes and transactions of one turn of
   * the event loop together; one that fails is undone alone.
   *
   * @throws AppError `database_busy` after 3 s, `database_unavailable` if the disk refuses the
   *   write, `user_not_found` if the statement names an owner that does not exist
   */
  write: <T>(statement: () => QueryPromise<T>) => Promise<T>
  /** Like `write`, for a statement that `prepare` has compiled. */
  writePrepared: (statement: Statement) => Promise<RawRow[]>
  /**
   * Compiles a query that runs often. Its rows come back unmapped, which takes a third of the
   * time of Drizzle's mapping. Select only text and integer columns: those have the same form on
   * both engines.
   */
  prepare: (query: { toSQL: () => { sql: string; params: unknown[] } }) => PreparedStatement
  /**
   * Runs the statements in one transaction: all of them or none. It takes a list, not a
   * callback, so nobody can await inside.
   *
   * @param precondition runs first; if it returns no row, nothing else runs. If others may
   *   change the condition meanwhile, make it an update, which locks the rows until the
   *   transaction ends
   * @returns the rows of each statement, as `prepare` returns them; undefined if the
   *   precondition returned none
   */
  batch: {
    (statements: (db: Database) => Statement[]): Promise<RawRow[][]>
    (
      statements: (db: Database) => Statement[],
      precondition: (db: Database) => Statement
    ): Promise<RawRow[][] | undefined>
  }
  /**
   * Runs the statements that the script yields in one transaction, all or none, and passes each
   * its rows. Restarts the script from the beginning if the database is busy or another
   * transaction has written what this one has read.
   *
   * @param readCommitted set it when the first statements lock every row that conflicting
   *   transactions also lock. The transaction then runs READ COMMITTED: conflicts block instead of
   *   causing restarts, and each transaction sees what the previous one wrote
   */
  transaction: <T>(
    script: (db: Database) => TransactionScript<T>,
    readCommitted?: boolean
  ) => Promise<T>
  /**
   * Like `transaction`, for writers that append to a chain: they run one after the other, whatever
   * the process, and those that wait at the same time share a commit. A waiting writer holds no
   * other lock and sees what the previous one wrote. One that fails is undone alone, and so is what
   * it put into `link.state`.
   *
   * @param isIndependent set it if the script stays correct when statements of other such scripts run
   *   between its own. They are then sent together, without a round trip for each
   */
  chainedTransaction: <T, S>(
    chain: SharedChain<S>,
    script: (db: Database, link: ChainLink<S>) => TransactionScript<T>,
    isIndependent?: boolean
  ) => Promise<T>
  /**
   * Runs reading statements that all see the database as it was at one moment. Takes no lock.
   */
  snapshot: <T>(script: () => TransactionScript<T>) => Promise<T>
  /** The database's clock plus `ms`, for times on which several processes must agree. */
  nowPlus: (ms: number) => SQL
  /**
   * The id of a row inserted by INSERT … SELECT, where an omitted identity column would stay
   * empty.
   */
  newId: (table: string) => SQL
  /**
   * Whether a column contains a text, ignoring the case of ASCII letters. `text` must be lower
   * case.
   */
  contains: (column: SQLWrapper, text: SQLWrapper) => SQL
  /**
   * Whether several instances may use this database. An embedded database belongs to one
   * process.
   */
  readonly isShared: boolean
  /**
   * How many rows a statement that writes many should hold. The embedded engine runs a statement for
   * each row in half the time of one for all; a server would need a round trip for each.
   */
  readonly rowsPerStatement: number
  /** Appended to a query that claims rows: skips rows another transaction has locked. */
  readonly skipLocked: SQL
  /**
   * Removes deleted data from the database files as well (WAL truncation), unless another
   * process is reading.
   *
   * @param onlyIfPending do nothing unless an earlier call returned false
   * @returns false if a reader was in the way; call again later
   */
  truncateWal: (onlyIfPending?: boolean) => Promise<boolean>
  /**
   * How many requests wait for a connection, and for how long. An embedded engine has no such
   * queue.
   */
  estimatePoolWait: () => PoolWait
  /**
   * Reads from every table, to find damage, missing tables and missing rights. Rejects with the
   * driver's error.
   */
  readTables: () => Promise<void>
  /** Resolves once the database answers: whether every migration of this version is applied. */
  isMigrated: () => Promise<boolean>
  close: () => void | Promise<void>
}

/** How a database is opened. */
export interface EngineOptions {
  /** Whether to apply missing migrations; otherwise they are only checked. */
  autoMigrate: boolean
  /** Size of the connection pool, on engines that have one. */
  poolSize: number
  statementTimeoutMs: number
  lockTimeoutMs: number
  /** Whether to refuse a server that may lose acknowledged writes. */
  requireDurability: boolean
  /** The tables of the products' collections. */
  itemTables: readonly ItemTableShape[]
  /** Called when the server becomes unavailable and when it is available again. */
  onAvailabilityChange: (isAvailable: boolean) => void
  /** Called after migrations were applied, with their number. */
  onMigrated: (count: number) => void
}

export const NEWER_VERSION_MESSAGE =
  'The database was last used by a newer version of this service. ' +
  'Run that version, or restore a backup made before it.'
export const OUTDATED_TABLES_MESSAGE =
  'The database tables are older than this version, and DB_AUTO_MIGRATE is false: ' +
  'run "connector db migrate" first.'
/** Table that exists while rows are copied into the database (src/store/admin/copy.ts). */
export const COPY_MARKER_TABLE = 'copy_in_progress'
export const INCOMPLETE_COPY_MESSAGE =
  'The database is an incomplete copy of another one. ' +
  'Repeat the same "connector db copy" command to complete it, or use another database.'
