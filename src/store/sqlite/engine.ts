import { setTimeout as sleep } from 'node:timers/promises'
import Driver from 'better-sqlite3'
import { getTableName, sql, type QueryPromise } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { migrate } from 'drizzle-orm/better-sqlite3/migrator'
import { columns } from '../../../drizzle/sqlite/columns.ts'
import { defineTables } from '../../../drizzle/tables.ts'
import { AppError, StartError } from '../../lib/errors.ts'
import { resolveFromRoot } from '../../lib/root-folder.ts'
import {
  OUTDATED_TABLES_MESSAGE,
  COPY_MARKER_TABLE,
  INCOMPLETE_COPY_MESSAGE,
  NEWER_VERSION_MESSAGE,
  type Engine,
  type EngineOptions
} from '../engine.ts'
import {
  createBatch,
  getDriverErrorCode,
  countMigrationsAfter,
  readLatestMigration
} from '../prepared.ts'
import { notWritableMessage, watchDatabaseFile } from './database-file.ts'
import { assertLocalFile } from './file-system.ts'
import { createGroupCommit } from './group-commit.ts'
import { createStatementRunner } from './statements.ts'

const MIGRATIONS_FOLDER = resolveFromRoot('drizzle/sqlite/migrations')
/** The time of this version's newest migration, in milliseconds since the epoch. */
export const LATEST_MIGRATION = readLatestMigration(MIGRATIONS_FOLDER)
/**
 * Older libraries can corrupt a WAL database when two connections checkpoint at once (fixed in
 * 3.51.3).
 */
const MIN_SQLITE_VERSION = [3, 51, 3]
/**
 * The driver blocks the event loop while it waits for a lock. So it does not wait, and writes are
 * retried without blocking.
 */
const BUSY_TIMEOUT_MS = 0
const BUSY_RETRY_INTERVAL_MS = 20
const WRITE_TIMEOUT_MS = 3_000

const IN_MEMORY = ':memory:'
/**
 * The empty tables. A process migrates its first in-memory database and copies the result to the
 * next ones.
 */
let migratedImage: Buffer | undefined

/**
 * The embedded engine. WAL with `synchronous=FULL`: an acknowledged commit is on the disk (the
 * library's default for WAL, NORMAL, does not guarantee that).
 */
export function open(url: string, { autoMigrate, itemTables, onMigrated }: EngineOptions): Engine {
  const path = parseFilename(url)
  if (path !== IN_MEMORY) assertLocalFile(path, 'INTEGRATION_DB_URL')
  const image = path === IN_MEMORY && autoMigrate ? migratedImage : undefined
  const client = openFile(image ?? path)
  const db = drizzle({ client })
  if (image === undefined) {
    const count = applyMigrations(
      client,
      autoMigrate ? () => migrate(db, { migrationsFolder: MIGRATIONS_FOLDER }) : undefined
    )
    if (count > 0) onMigrated(count)
    if (path === IN_MEMORY && autoMigrate) migratedImage = client.serialize()
  }
  client.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`)
  const latestAppliedQuery = client.prepare(
    'select max(created_at) as at from __drizzle_migrations'
  )
  const tables = defineTables(columns, itemTables)
  const file = watchDatabaseFile(path === IN_MEMORY ? undefined : path)
  let isTruncationPending = false

  const { runScript, runStatement, prepare } = createStatementRunner(client)
  const groupCommit = createGroupCommit(client, {
    runScript,
    runStatement,
    assertInPlace: file.assertInPlace,
    isBusy: (error) => getSqliteErrorCode(error)?.startsWith('SQLITE_BUSY') === true,
    toAppError: (error) => toAppError(error, getSqliteErrorCode(error)),
    timeoutMs: WRITE_TIMEOUT_MS,
    retryIntervalMs: BUSY_RETRY_INTERVAL_MS
  })

  const transaction: Engine['transaction'] = async (script) =>
    await groupCommit.commit(() => runScript(script(db)))

  return {
    db,
    tables,
    write: async (statement) => await groupCommit.commit(() => runQuery(statement())),
    writePrepared: (statement) => groupCommit.commit(() => runStatement(statement)),
    prepare,
    transaction,
    chainedTransaction: async (chain, script) =>
      await groupCommit.commit((link) => runScript(script(db, link)), chain),
    batch: createBatch(transaction),
    snapshot: async (script) => client.transaction(() => runScript(script())).deferred(),
    nowPlus: (ms) => sql`cast(unixepoch('subsec') * 1000 as integer) + ${Math.round(ms)}`,
    newId: () => sql`null`,
    contains: (column, text) => sql`instr(lower(${column}), ${text}) > 0`,
    isShared: false,
    rowsPerStatement: 1,
    skipLocked: sql``,
    truncateWal: async (onlyIfPending = false) => {
      if (onlyIfPending && !isTruncationPending) return true
      const deadline = performance.now() + WRITE_TIMEOUT_MS
      while (true) {
        const [{ busy }] = client.pragma('wal_checkpoint(TRUNCATE)') as [{ busy: number }]
        isTruncationPending = busy !== 0
        if (!isTruncationPending) return true
        if (performance.now() > deadline) return false
        await sleep(BUSY_RETRY_INTERVAL_MS)
      }
    },
    estimatePoolWait: () => ({ count: 0, ms: 0 }),
    readTables: async () => {
      file.assertInPlace()
      file.assertFreeSpace()
      // A new connection reads the file; an old one may read its own cache.
      const reader = path === IN_MEMORY ? client : new Driver(path, { readonly: true })
      try {
        for (const table of tables.all) {
          reader.prepare(`select 1 from "${getTableName(table)}" not indexed limit 1`).get()
        }
      } finally {
        if (reader !== client) reader.close()
      }
    },
    isMigrated: async () =>
      ((latestAppliedQuery.get() as { at: number | null }).at ?? 0) >= LATEST_MIGRATION,
    close: () =>
      new Promise<void>((resolve) => {
        groupCommit.whenIdle(() => {
          client.close()
          resolve()
        })
      })
  }
}

/** The part of Drizzle's synchronous queries that is used here. */
interface SyncQuery<T> {
  prepare?: () => { execute: () => { sync: () => T } }
  sync?: () => T
}

/** Runs a query of Drizzle, prepared or not, without its promise. */
function runQuery<T>(query: QueryPromise<T>): T {
  // Proof of the cast: test/store/contract.ts runs every repository.
  const { prepare, sync } = query as unknown as SyncQuery<T>
  if (sync !== undefined) return sync.call(query)
  if (prepare !== undefined) return prepare.call(query).execute().sync()
  throw new TypeError('A write is one statement of Drizzle.')
}

/** The file name in a database URL. */
export function parseFilename(url: string): string {
  return url === 'sqlite::memory:' ? IN_MEMORY : url.replace('sqlite:///', '')
}

function openFile(source: string | Buffer): Driver.Database {
  try {
    const client = new Driver(source)
    // Waiting is allowed only at start: another instance may be migrating.
    client.pragma('busy_timeout = 5000')
    client.pragma('journal_mode = WAL')
    client.pragma('synchronous = FULL')
    client.pragma('foreign_keys = ON')
    client.pragma('secure_delete = ON')
    assertSafeVersion(client)
    // A read-only file opens without an error and would fail at the first write instead.
    client.exec('BEGIN IMMEDIATE; ROLLBACK')
    return client
  } catch (error) {
    if (error instanceof StartError) throw error
    const code = getSqliteErrorCode(error)
    throw new StartError(
      [notWritableMessage('INTEGRATION_DB_URL', code)],
      code === undefined || /^SQLITE_(CANTOPEN|READONLY|PERM)/.test(code) ? 78 : 1
    )
  }
}

function assertSafeVersion(client: Driver.Database): void {
  const { version } = client.prepare('select sqlite_version() as version').get() as {
    version: string
  }
  const actual = version.split('.').map(Number)
  const differingPart = MIN_SQLITE_VERSION.findIndex((part, i) => part !== actual[i])
  if (
    differingPart !== -1 &&
    (actual[differingPart] ?? 0) < (MIN_SQLITE_VERSION[differingPart] ?? 0)
  ) {
    throw new StartError(
      [
        `The SQLite library is ${version}; ${MIN_SQLITE_VERSION.join('.')} or newer is needed. ` +
          'Reinstall better-sqlite3.'
      ],
      1
    )
  }
}

/**
 * Applies missing migrations, or reports them if it must not, and refuses a database that a
 * newer version has migrated.
 *
 * @returns the number of migrations that were applied
 */
function applyMigrations(client: Driver.Database, runMigrations?: () => void): number {
  try {
    if (
      client.prepare('select 1 from sqlite_master where name = ?').get(COPY_MARKER_TABLE) !==
      undefined
    ) {
      throw new StartError([INCOMPLETE_COPY_MESSAGE], 1)
    }
    const exists = client
      .prepare("select 1 from sqlite_master where name = '__drizzle_migrations'")
      .get()
    const { at: latestApplied } =
      exists === undefined
        ? { at: null }
        : (client.prepare('select max(created_at) as at from __drizzle_migrations').get() as {
            at: number | null
          })
    if ((latestApplied ?? 0) > LATEST_MIGRATION) throw new StartError([NEWER_VERSION_MESSAGE], 1)
    if (runMigrations !== undefined) runMigrations()
    else if ((latestApplied ?? 0) < LATEST_MIGRATION) {
      throw new StartError([OUTDATED_TABLES_MESSAGE], 1)
    }
    return countMigrationsAfter(MIGRATIONS_FOLDER, latestApplied ?? 0)
  } catch (error) {
    client.close()
    if (error instanceof StartError) throw error
    throw new StartError(
      [
        `The database could not be migrated (${getSqliteErrorCode(error) ?? 'unknown reason'}). ` +
          "Is INTEGRATION_DB_URL another program's database?"
      ],
      1
    )
  }
}

function getSqliteErrorCode(error: unknown): string | undefined {
  const code = getDriverErrorCode(error)
  return code?.startsWith('SQLITE_') === true ? code : undefined
}

function toAppError(error: unknown, code: string | undefined): unknown {
  if (code === 'SQLITE_CONSTRAINT_FOREIGNKEY') {
    return new AppError('user_not_found', 'No user has this id.', { cause: error })
  }
  if (code !== undefined && /^SQLITE_(FULL|READONLY|IOERR|CANTOPEN)/.test(code)) {
    return new AppError('database_unavailable', 'The database cannot be written at the moment.', {
      cause: error,
      retryAfterS: 1
    })
  }
  return error
}
