import type { SQL, SQLWrapper } from 'drizzle-orm'
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3'
import type { Tables } from '../../drizzle/tables.ts'
import { StartError } from '../lib/errors.ts'
import type { PoolWait } from './postgres/wait-estimate.ts'

/** Drizzle's handle. Typed as SQLite's; another engine casts its own to it and proves the cast with the contract suite. */
export type Database = BetterSQLite3Database

/** One statement that has been built and not yet run. */
export interface Statement {
  toSQL: () => { sql: string; params: unknown[] }
}

/** A statement for a transaction that somebody else opens. */
export type StatementBuilder = (db: Database) => Statement

/**
 * The statements of one transaction, of which a later one may depend on what an earlier one returned. A generator cannot await, so
 * nothing else can happen in between, whether the engine runs it in one go or waits for each answer.
 */
export type TransactionScript<T> = Generator<Statement, T, RawRow[]>

/** What is put into a placeholder. */
export type BindValue = string | number | Date | null

/** A query that is rendered already: to be asked by itself, or bound to its values as one statement of a transaction. */
export interface PreparedStatement {
  (values: Record<string, BindValue>): Promise<RawRow[]>
  bind: (values: Record<string, BindValue>) => Statement
  /** The same for a statement of many rows, whose placeholders are named by `ofRow`. */
  bindRows: (rows: ReadonlyArray<Record<string, BindValue>>) => Statement
}

/** The name of a placeholder that stands for a value of one of many rows. */
export function rowPlaceholder(row: number, name: string): string {
  return `${row}.${name}`
}

/** A row as the driver has it, by the names of the columns. */
export type RawRow = Record<string, string | number | null>

/** What the store needs from a database. Repositories are written once, against this. */
export interface Engine {
  readonly db: Database
  readonly tables: Tables
  /**
   * Runs one writing statement, waiting (without blocking the event loop) while another process holds the write lock.
   * @throws AppError `database_busy` after 3 s, `database_unavailable` when the disk refuses, `user_not_found` when the
   * statement names an owner that does not exist
   */
  write: <T>(statement: () => PromiseLike<T>) => Promise<T>
  /**
   * Prepares a query that is asked often: rendered once, and its rows are handed over as they are, which takes a third
   * of the time of Drizzle's own. Only columns of text and whole numbers may come back: those are the same on every engine.
   */
  prepare: (query: { toSQL: () => { sql: string; params: unknown[] } }) => PreparedStatement
  /**
   * Runs the statements in one transaction, all or none. A list and not a callback, so nobody can await inside.
   *
   * @param given runs first; where it returns no row nothing else is done. A condition that others may change meanwhile is best
   * an update, which keeps them off until the end
   * @returns what each of them returned, as `prepare` hands rows over; undefined where `given` returned nothing
   */
  batch: {
    (statements: (db: Database) => Statement[]): Promise<RawRow[][]>
    (
      statements: (db: Database) => Statement[],
      precondition: (db: Database) => Statement
    ): Promise<RawRow[][] | undefined>
  }
  /**
   * Runs the statements that are yielded in one transaction, all or none, and hands each its rows. Begun again, from the beginning,
   * where the database is busy or somebody else has written what it has read.
   *
   * @param readCommitted the first statements write the rows that everybody writes who could get in the way. Then nobody has to begin
   * again: they wait for each other, and each sees what the one before has written
   */
  transaction: <T>(
    script: (db: Database) => TransactionScript<T>,
    readCommitted?: boolean
  ) => Promise<T>
  /**
   * The same for those who all write one row of the table `queue`: they come one after the other. Who waits holds nothing that others
   * wait for, sees afterwards what the one before has written, and so has not to begin again because of them.
   */
  serializedTransaction: <T>(
    lockTable: string,
    script: (db: Database) => TransactionScript<T>
  ) => Promise<T>
  /** The database's own time, `ms` from now: for what several processes have to agree on. */
  nowPlus: (ms: number) => SQL
  /** The id of a row that is inserted by selecting it, where a column that is left out would not get one. */
  newId: (table: string) => SQL
  /** Whether a column contains a text, capital and small letters of ASCII being the same; `text` is in small ones. */
  contains: (column: SQLWrapper, text: SQLWrapper) => SQL
  /** Whether several instances may use this database; an embedded one is of one process. */
  readonly isShared: boolean
  /** Ends a query of rows to be taken: those that somebody else is just taking are left out. */
  readonly skipLocked: SQL
  /**
   * Takes what was deleted out of the files too, as far as no other process is reading.
   *
   * @param onlyIfPending only what could not be done before
   * @returns false if somebody was reading: it has to be done again
   */
  truncateWal: (onlyIfPending?: boolean) => Promise<boolean>
  /** Who waits for a connection. An embedded engine lets nobody wait. */
  estimatePoolWait: () => PoolWait
  /** Resolves, when the database answers, to whether every migration of this version is applied. */
  isMigrated: () => Promise<boolean>
  close: () => void | Promise<void>
}

/** How a database is opened. */
export interface EngineOptions {
  /** Whether tables are brought up to date, or only looked at. */
  autoMigrate: boolean
  /** Connections, where an engine has several. */
  poolSize: number
  statementTimeoutMs: number
  lockTimeoutMs: number
  /** Whether a server is refused that acknowledges what it may lose. */
  requireDurability: boolean
  /** Told when the server is lost, and when it is back. */
  onAvailabilityChange: (isAvailable: boolean) => void
}

const DEFAULT_OPTIONS: EngineOptions = {
  autoMigrate: true,
  poolSize: 10,
  statementTimeoutMs: 10_000,
  lockTimeoutMs: 3_000,
  requireDurability: true,
  onAvailabilityChange: () => {}
}

export const NEWER_VERSION_MESSAGE =
  'The database was last used by a newer version of this service. Run that version, or restore a backup made before it.'
export const OUTDATED_TABLES_MESSAGE =
  'The database tables are older than this version, and DB_AUTO_MIGRATE is false: run "npm run db:migrate" first.'
/** The table that a database has while rows are copied into it (src/database). */
export const COPY_MARKER_TABLE = 'copy_in_progress'
export const INCOMPLETE_COPY_MESSAGE =
  'The database is a half-done copy of another one: finish it with the same "npm run db:copy" command, or name another database.'

/** What an engine's file exports. */
interface EngineModule {
  open: (url: string, options: EngineOptions) => Engine | Promise<Engine>
}

const ENGINES: Array<{ scheme: RegExp; load: () => Promise<EngineModule> }> = [
  { scheme: /^sqlite:/, load: () => import('./sqlite/engine.ts') },
  { scheme: /^postgres(ql)?(\+psycopg)?:/, load: () => import('./postgres/engine.ts') }
]

/**
 * Opens the database that `INTEGRATION_DB_URL` names and brings its tables up to date.
 *
 * The engine is imported on demand: a deployment loads only the driver it uses.
 *
 * @throws StartError one sentence: no such engine, unwritable file, no answer, tables of a newer version
 */
export async function openEngine(
  url: string,
  options: Partial<EngineOptions> = {}
): Promise<Engine> {
  const engine = ENGINES.find(({ scheme }) => scheme.test(url))
  if (engine === undefined) {
    throw new StartError(['INTEGRATION_DB_URL names no known kind of database.'], 78)
  }
  const { open } = await engine.load()
  return await open(url, { ...DEFAULT_OPTIONS, ...options })
}
