import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Driver from 'better-sqlite3'
import { is, Param, Placeholder, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { migrate } from 'drizzle-orm/better-sqlite3/migrator'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import * as tables from '../../drizzle/sqlite/schema.ts'
import { AppError, StartError } from '../errors.ts'
import type { Database, Engine, RawRow, Statement, Value } from './engine.ts'

const MIGRATIONS = fileURLToPath(new URL('../../drizzle/sqlite/migrations', import.meta.url))
/** Older libraries can corrupt a WAL when two connections meet a checkpoint (fixed in 3.51.3). */
const OLDEST_SAFE_SQLITE = [3, 51, 3]
/** The driver blocks the event loop while it waits for a lock, so it does not wait at all, and `write` waits without blocking. */
const BUSY_TIMEOUT_MS = 0
const BUSY_RETRY_MS = 20
const BUSY_GIVE_UP_MS = 3_000

/**
 * The embedded engine. WAL with `synchronous=FULL`: a commit that was acknowledged is on the disk (the library's default
 * for WAL is NORMAL, which is not).
 */
export function open (url: string): Engine {
  const client = openFile(filename(url))
  const db = drizzle({ client })
  migrateForward(client, () => migrate(db, { migrationsFolder: MIGRATIONS }))
  client.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`)
  const applied = client.prepare('select max(created_at) as at from __drizzle_migrations')
  const newest = newestMigration()
  let unscrubbed = false

  const write: Engine['write'] = async (statement) => {
    const giveUpAt = performance.now() + BUSY_GIVE_UP_MS
    while (true) {
      try {
        return await statement()
      } catch (error) {
        const code = sqliteCode(error)
        if (!code?.startsWith('SQLITE_BUSY')) throw translated(error, code)
        if (performance.now() > giveUpAt) throw new AppError('database_busy', 'The database is busy. Try again in a second.', { cause: error, retryAfterS: 1 })
        await sleep(BUSY_RETRY_MS)
      }
    }
  }

  const inSteps: Engine['inSteps'] = async (steps) => await write(async () => client.transaction(() => {
    const work = steps(db)
    let next = work.next()
    while (next.done !== true) next = work.next(run(client, next.value))
    return next.value
  }).immediate())

  return {
    db,
    tables,
    write,
    prepare (query) {
      const { sql, params } = query.toSQL()
      const statement = client.prepare(sql)
      const slots = params.map(slotOf)
      const filled = (values: Record<string, Value>) => slots.map(({ name, constant }) => name === undefined ? constant : driverValue(values[name]))
      const bound = (params: unknown[]): Statement => Object.assign({ toSQL: () => ({ sql, params }) }, { [COMPILED]: statement })
      return Object.assign(async (values: Record<string, Value>) => statement.all(filled(values)) as RawRow[], {
        bind: (values: Record<string, Value>) => bound(filled(values)),
        bindRows: (rows: ReadonlyArray<Record<string, Value>>) => bound(slots.map(({ row, column, constant }) => row === undefined ? constant : driverValue(rows[row]?.[column])))
      })
    },
    inSteps,
    atomically: (async (statements: (db: Database) => Statement[], given?: (db: Database) => Statement) => await inSteps(function * (db) {
      if (given !== undefined && (yield given(db)).length === 0) return undefined
      const results: RawRow[][] = []
      for (const statement of statements(db)) results.push(yield statement)
      return results
    })) as Engine['atomically'],
    after: (ms) => sql`cast(unixepoch('subsec') * 1000 as integer) + ${Math.round(ms)}`,
    scrub: async (again = false) => {
      if (again && !unscrubbed) return true
      const giveUpAt = performance.now() + BUSY_GIVE_UP_MS
      while (true) {
        const [{ busy }] = client.pragma('wal_checkpoint(TRUNCATE)') as [{ busy: number }]
        unscrubbed = busy !== 0
        if (!unscrubbed) return true
        if (performance.now() > giveUpAt) return false
        await sleep(BUSY_RETRY_MS)
      }
    },
    migrated: async () => (applied.get() as { at: number | null }).at === newest,
    close: () => { client.close() }
  }
}

/** A statement that is compiled already. */
const COMPILED = Symbol('compiled')

function run (client: Driver.Database, statement: Statement & { [COMPILED]?: Driver.Statement }): RawRow[] {
  const { sql, params } = statement.toSQL()
  const compiled = statement[COMPILED] ?? client.prepare(sql)
  if (compiled.reader) return compiled.all(params) as RawRow[]
  compiled.run(params)
  return []
}

/** What goes into one place of a prepared statement: a constant, a value by its name, or one of a row by its number and column. */
interface Slot { constant: unknown, name: string | undefined, row: number | undefined, column: string }

function slotOf (param: unknown): Slot {
  const holder = is(param, Placeholder) ? param : is(param, Param) && is(param.value, Placeholder) ? param.value : undefined
  const [, row, column = ''] = /^(\d+)\.(.*)$/.exec(holder?.name ?? '') ?? []
  return { constant: param, name: holder?.name, row: row === undefined ? undefined : Number(row), column }
}

function driverValue (value: Value | undefined): unknown {
  return value instanceof Date ? value.getTime() : value
}

function filename (url: string): string {
  return url === 'sqlite::memory:' ? ':memory:' : url.replace('sqlite:///', '')
}

function openFile (path: string): Driver.Database {
  try {
    const client = new Driver(path)
    // The longer wait is for the start only: another instance may be migrating.
    client.pragma('busy_timeout = 5000')
    client.pragma('journal_mode = WAL')
    client.pragma('synchronous = FULL')
    client.pragma('foreign_keys = ON')
    client.pragma('secure_delete = ON')
    assertSafe(client)
    // A read-only file opens without complaint and would fail at the first user instead.
    client.exec('BEGIN IMMEDIATE; ROLLBACK')
    return client
  } catch (error) {
    if (error instanceof StartError) throw error
    throw new StartError([`The database file that INTEGRATION_DB_URL names cannot be opened for writing (${sqliteCode(error) ?? 'no such folder'}). Check the folder and the permissions.`], 1)
  }
}

function assertSafe (client: Driver.Database): void {
  const { version } = client.prepare('select sqlite_version() as version').get() as { version: string }
  const found = version.split('.').map(Number)
  const differs = OLDEST_SAFE_SQLITE.findIndex((part, i) => part !== found[i])
  if (differs !== -1 && (found[differs] ?? 0) < (OLDEST_SAFE_SQLITE[differs] ?? 0)) {
    throw new StartError([`The SQLite library is ${version}; ${OLDEST_SAFE_SQLITE.join('.')} or newer is needed. Reinstall better-sqlite3.`], 1)
  }
}

/** Applies what is missing, and refuses a database that a newer version of this service has already changed. */
function migrateForward (client: Driver.Database, apply: () => void): void {
  try {
    const exists = client.prepare("select 1 from sqlite_master where name = '__drizzle_migrations'").get()
    const latest = exists === undefined
      ? undefined
      : client.prepare('select max(created_at) as at from __drizzle_migrations').get() as { at: number | null }
    if ((latest?.at ?? 0) > newestMigration()) {
      throw new StartError(['The database was last used by a newer version of this service. Run that version, or restore a backup made before it.'], 1)
    }
    apply()
  } catch (error) {
    client.close()
    if (error instanceof StartError) throw error
    throw new StartError([`The database tables could not be brought up to date (${sqliteCode(error) ?? 'unknown reason'}). Is INTEGRATION_DB_URL another program's database?`], 1)
  }
}

function newestMigration (): number {
  return Math.max(...readMigrationFiles({ migrationsFolder: MIGRATIONS }).map(({ folderMillis }) => folderMillis))
}

function sqliteCode (error: unknown): string | undefined {
  const candidates = [error, (error as { cause?: unknown } | null)?.cause]
  return candidates.map((e) => (e as { code?: unknown } | null)?.code).find((code) => typeof code === 'string' && code.startsWith('SQLITE_')) as string | undefined
}

function translated (error: unknown, code: string | undefined): unknown {
  if (code === 'SQLITE_CONSTRAINT_FOREIGNKEY') return new AppError('user_not_found', 'No user has this id.', { cause: error })
  if (code !== undefined && /^SQLITE_(FULL|READONLY|IOERR|CANTOPEN)/.test(code)) {
    return new AppError('database_unavailable', 'The database cannot be written at the moment.', { cause: error, retryAfterS: 1 })
  }
  return error
}
