import { existsSync, realpathSync, statSync } from 'node:fs'
import Driver from 'better-sqlite3'
import { getTableConfig, type SQLiteTable } from 'drizzle-orm/sqlite-core'
import { columns } from '../../../drizzle/sqlite/columns.ts'
import { defineTables } from '../../../drizzle/tables.ts'
import { StartError } from '../../lib/errors.ts'
import { itemTableShapes } from '../../providers/index.ts'
import { notWritableMessage } from '../sqlite/database-file.ts'
import { parseFilename, LATEST_MIGRATION } from '../sqlite/engine.ts'
import { getDriverErrorCode } from '../prepared.ts'
import type { CellValue, RawDatabase, CellRow } from './raw-database.ts'
import { orderTables } from './table-order.ts'

const TABLES = orderTables(defineTables(columns, itemTableShapes).all, (table) =>
  getTableConfig(table as unknown as SQLiteTable)
)
const MIGRATIONS_TABLE = '__drizzle_migrations'

export async function openSource(url: string, name: string): Promise<RawDatabase> {
  const file = requireDatabaseFile(url, name)
  const client = openReadOnly(file, name)
  // The WAL is empty or absent once the last process that had the file open has closed it.
  const isOpenElsewhere = (statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0
  return { ...createRawDatabase(client, realpathSync(file)), isInUse: async () => isOpenElsewhere }
}

export async function openTarget(url: string, name: string): Promise<RawDatabase> {
  const file = requireDatabaseFile(url, name)
  try {
    const client = new Driver(file, { timeout: 0 })
    client.pragma('locking_mode = exclusive')
    client.pragma('synchronous = full')
    client.pragma('foreign_keys = on')
    client.exec('begin exclusive; commit')
    return { ...createRawDatabase(client, realpathSync(file)), isInUse: async () => false }
  } catch (error) {
    const code = getDriverErrorCode(error)
    throw new StartError(
      [
        code?.startsWith('SQLITE_BUSY') === true
          ? `The database that ${name} names is in use. Stop the program that uses it first.`
          : notWritableMessage(name, code)
      ],
      1
    )
  }
}

/**
 * Opens a database file read-only.
 *
 * @throws StartError if it does not exist or is not a database
 */
export function openReadOnly(file: string, name: string): Driver.Database {
  if (!existsSync(file)) {
    throw new StartError([`The database file that ${name} names does not exist.`], 1)
  }
  try {
    const client = new Driver(file, { readonly: true, fileMustExist: true })
    // A transaction reads as of the moment of its first query.
    client.exec('begin')
    client.prepare('select count(*) from sqlite_master').get()
    return client
  } catch (error) {
    throw new StartError(
      [
        `The database file that ${name} names cannot be read (${getDriverErrorCode(error) ?? 'no answer'}).`
      ],
      1
    )
  }
}

/** @throws StartError for an in-memory database, which no other process can open */
export function requireDatabaseFile(url: string, name: string): string {
  const file = parseFilename(url)
  if (file === ':memory:') {
    throw new StartError(
      [`${name} names an in-memory database, which no other process can open.`],
      1
    )
  }
  return file
}

function createRawDatabase(
  client: Driver.Database,
  identity: string
): Omit<RawDatabase, 'isInUse'> {
  const statements = new Map<string, Driver.Statement>()
  const prepareCached = (sql: string): Driver.Statement => {
    const statement = statements.get(sql) ?? client.prepare(sql)
    statements.set(sql, statement)
    return statement
  }
  const query = async (sql: string, values: readonly CellValue[] = []): Promise<CellRow[]> => {
    const statement = prepareCached(sql)
    if (statement.reader) return statement.raw().all(...values) as CellRow[]
    statement.run(...values)
    return []
  }
  const tableNames = async () =>
    (
      await query(
        `select name from sqlite_master
         where type = 'table' and name not like 'sqlite\\_%' escape '\\'
           and name <> '${MIGRATIONS_TABLE}'`
      )
    ).map(String)

  return {
    tables: TABLES,
    identity: `sqlite ${identity}`,
    latestMigration: LATEST_MIGRATION,
    query,
    insertRows: async ({ name, columns }, rows) => {
      const names = columns.map((column) => `"${column.name}"`).join()
      const statement = prepareCached(
        `insert into "${name}" (${names}) values (${columns.map(() => '?').join()})`
      )
      client.transaction(() => {
        for (const row of rows) statement.run(row)
      })()
    },
    orderExpression: ({ name }) => `"${name}"`,
    tableNames,
    migrationState: async () => {
      const [migrationsTable] = await query('select 1 from sqlite_master where name = ?', [
        MIGRATIONS_TABLE
      ])
      const [[count, newest] = []] =
        migrationsTable === undefined
          ? []
          : await query(`select count(*), max(created_at) from ${MIGRATIONS_TABLE}`)
      return { count: Number(count ?? 0), latest: Number(newest ?? 0) }
    },
    lastSequence: async ({ name }) =>
      Number((await query('select seq from sqlite_sequence where name = ?', [name]))[0]?.[0] ?? 0),
    setSequence: async ({ name }, maxId) => {
      await query('delete from sqlite_sequence where name = ?', [name])
      await query('insert into sqlite_sequence (name, seq) values (?, ?)', [name, maxId])
    },
    finishBulkLoad: async () => {
      client.pragma('wal_checkpoint(truncate)')
    },
    close: async () => {
      client.close()
    }
  }
}
