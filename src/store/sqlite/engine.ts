import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Driver from 'better-sqlite3'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { migrate } from 'drizzle-orm/better-sqlite3/migrator'
import * as tables from '../../../drizzle/sqlite/schema.ts'
import { AppError, StartError } from '../../lib/errors.ts'
import {
  BEHIND,
  COPYING,
  HALF_COPIED,
  NEWER,
  type Engine,
  type EngineOptions,
  type RawRow,
  type Statement,
  type Value
} from '../engine.ts'
import { atomicallyBy, busy, driverCode, newestMigration, rendered } from '../prepared.ts'

const MIGRATIONS = fileURLToPath(new URL('../../../drizzle/sqlite/migrations', import.meta.url))
/** The moment of this version's newest migration. */
export const NEWEST = newestMigration(MIGRATIONS)
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
export function open(url: string, { migrates }: EngineOptions): Engine {
  const client = openFile(filename(url))
  const db = drizzle({ client })
  migrateForward(client, migrates ? () => migrate(db, { migrationsFolder: MIGRATIONS }) : undefined)
  client.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`)
  const applied = client.prepare('select max(created_at) as at from __drizzle_migrations')
  let unscrubbed = false

  const write: Engine['write'] = async (statement) => {
    const giveUpAt = performance.now() + BUSY_GIVE_UP_MS
    while (true) {
      try {
        return await statement()
      } catch (error) {
        const code = sqliteCode(error)
        if (!code?.startsWith('SQLITE_BUSY')) throw translated(error, code)
        if (performance.now() > giveUpAt) throw busy(error)
        await sleep(BUSY_RETRY_MS)
      }
    }
  }

  const inSteps: Engine['inSteps'] = async (steps) =>
    await write(async () =>
      client
        .transaction(() => {
          const work = steps(db)
          let next = work.next()
          while (next.done !== true) next = work.next(run(client, next.value))
          return next.value
        })
        .immediate()
    )

  return {
    db,
    tables,
    write,
    prepare(query) {
      const { sql, fill, fillRows } = rendered(query)
      const statement = client.prepare(sql)
      const bound = (params: unknown[]): Statement =>
        Object.assign({ toSQL: () => ({ sql, params }) }, { [COMPILED]: statement })
      return Object.assign(
        async (values: Record<string, Value>) => statement.all(fill(values)) as RawRow[],
        {
          bind: (values: Record<string, Value>) => bound(fill(values)),
          bindRows: (rows: ReadonlyArray<Record<string, Value>>) => bound(fillRows(rows))
        }
      )
    },
    inSteps,
    // There is one writer at a time, whatever it writes.
    inTurn: async (_queue, steps) => await inSteps(steps),
    atomically: atomicallyBy(inSteps),
    after: (ms) => sql`cast(unixepoch('subsec') * 1000 as integer) + ${Math.round(ms)}`,
    newId: () => sql`null`,
    contains: (column, text) => sql`instr(lower(${column}), ${text}) > 0`,
    isShared: false,
    skippingLocked: sql``,
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
    waiting: () => ({ count: 0, ms: 0 }),
    migrated: async () => ((applied.get() as { at: number | null }).at ?? 0) >= NEWEST,
    close: () => {
      client.close()
    }
  }
}

/** A statement that is compiled already. */
const COMPILED = Symbol('compiled')

function run(
  client: Driver.Database,
  statement: Statement & { [COMPILED]?: Driver.Statement }
): RawRow[] {
  const { sql, params } = statement.toSQL()
  const compiled = statement[COMPILED] ?? client.prepare(sql)
  if (compiled.reader) return compiled.all(params) as RawRow[]
  compiled.run(params)
  return []
}

/** The file that an address names. */
export function filename(url: string): string {
  return url === 'sqlite::memory:' ? ':memory:' : url.replace('sqlite:///', '')
}

function openFile(path: string): Driver.Database {
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
    throw new StartError(
      [
        `The database file that INTEGRATION_DB_URL names cannot be opened for writing (${sqliteCode(error) ?? 'no such folder'}). Check the folder and the permissions.`
      ],
      1
    )
  }
}

function assertSafe(client: Driver.Database): void {
  const { version } = client.prepare('select sqlite_version() as version').get() as {
    version: string
  }
  const found = version.split('.').map(Number)
  const differs = OLDEST_SAFE_SQLITE.findIndex((part, i) => part !== found[i])
  if (differs !== -1 && (found[differs] ?? 0) < (OLDEST_SAFE_SQLITE[differs] ?? 0)) {
    throw new StartError(
      [
        `The SQLite library is ${version}; ${OLDEST_SAFE_SQLITE.join('.')} or newer is needed. Reinstall better-sqlite3.`
      ],
      1
    )
  }
}

/** Applies what is missing, or says that something is, and refuses a database that a newer version of this service has already changed. */
function migrateForward(client: Driver.Database, apply?: () => void): void {
  try {
    if (client.prepare('select 1 from sqlite_master where name = ?').get(COPYING) !== undefined) {
      throw new StartError([HALF_COPIED], 1)
    }
    const exists = client
      .prepare("select 1 from sqlite_master where name = '__drizzle_migrations'")
      .get()
    const { at: latest } =
      exists === undefined
        ? { at: null }
        : (client.prepare('select max(created_at) as at from __drizzle_migrations').get() as {
            at: number | null
          })
    if ((latest ?? 0) > NEWEST) throw new StartError([NEWER], 1)
    if (apply !== undefined) apply()
    else if ((latest ?? 0) < NEWEST) throw new StartError([BEHIND], 1)
  } catch (error) {
    client.close()
    if (error instanceof StartError) throw error
    throw new StartError(
      [
        `The database tables could not be brought up to date (${sqliteCode(error) ?? 'unknown reason'}). Is INTEGRATION_DB_URL another program's database?`
      ],
      1
    )
  }
}

function sqliteCode(error: unknown): string | undefined {
  const code = driverCode(error)
  return code?.startsWith('SQLITE_') === true ? code : undefined
}

function translated(error: unknown, code: string | undefined): unknown {
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
