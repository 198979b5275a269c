import { existsSync, realpathSync, statSync } from 'node:fs'
import Driver from 'better-sqlite3'
import { getTableConfig, type SQLiteTable } from 'drizzle-orm/sqlite-core'
import * as schema from '../../../drizzle/sqlite/schema.ts'
import { StartError } from '../../lib/errors.ts'
import { filename, NEWEST } from '../sqlite/engine.ts'
import { driverCode } from '../prepared.ts'
import type { Cell, Connection, Row } from './raw-database.ts'
import { tablesOf } from './table-order.ts'

const TABLES = tablesOf(schema, (table) => getTableConfig(table as unknown as SQLiteTable))
const MIGRATIONS = '__drizzle_migrations'

export async function openSource(url: string, name: string): Promise<Connection> {
  const file = fileOf(url, name)
  const client = openReadOnly(file, name)
  // What has been written is gone from this file when the last who had it open has closed it.
  const isOpenElsewhere = (statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0
  return { ...connection(client, realpathSync(file)), isInUse: async () => isOpenElsewhere }
}

export async function openTarget(url: string, name: string): Promise<Connection> {
  const file = fileOf(url, name)
  try {
    const client = new Driver(file, { timeout: 0 })
    client.pragma('locking_mode = exclusive')
    client.pragma('synchronous = full')
    client.pragma('foreign_keys = on')
    client.exec('begin exclusive; commit')
    return { ...connection(client, realpathSync(file)), isInUse: async () => false }
  } catch (error) {
    const code = driverCode(error)
    throw new StartError(
      [
        code?.startsWith('SQLITE_BUSY') === true
          ? `The database that ${name} names is in use. Stop whatever uses it first.`
          : `The database file that ${name} names cannot be opened for writing (${code ?? 'no such folder'}). Check the folder and the permissions.`
      ],
      1
    )
  }
}

/**
 * Opens a database file so that nothing can be written to it.
 *
 * @throws StartError it is not there, or no database
 */
export function openReadOnly(file: string, name: string): Driver.Database {
  if (!existsSync(file)) throw new StartError([`There is no database file where ${name} says.`], 1)
  try {
    const client = new Driver(file, { readonly: true, fileMustExist: true })
    // From its first question on, a transaction sees one moment.
    client.exec('begin')
    client.prepare('select count(*) from sqlite_master').get()
    return client
  } catch (error) {
    throw new StartError(
      [
        `The database file that ${name} names cannot be read (${driverCode(error) ?? 'no answer'}).`
      ],
      1
    )
  }
}

/** @throws StartError a database in memory is nobody else's */
export function fileOf(url: string, name: string): string {
  const file = filename(url)
  if (file === ':memory:') {
    throw new StartError([`${name} names a database in memory, which nobody else can reach.`], 1)
  }
  return file
}

function connection(client: Driver.Database, identity: string): Omit<Connection, 'isInUse'> {
  const statements = new Map<string, Driver.Statement>()
  const prepared = (sql: string): Driver.Statement => {
    const statement = statements.get(sql) ?? client.prepare(sql)
    statements.set(sql, statement)
    return statement
  }
  const ask = async (sql: string, values: readonly Cell[] = []): Promise<Row[]> => {
    const statement = prepared(sql)
    if (statement.reader) return statement.raw().all(...values) as Row[]
    statement.run(...values)
    return []
  }
  const names = async () =>
    (
      await ask(
        `select name from sqlite_master where type = 'table' and name not like 'sqlite\\_%' escape '\\' and name <> '${MIGRATIONS}'`
      )
    ).map(String)

  return {
    tables: TABLES,
    identity: `sqlite ${identity}`,
    newest: NEWEST,
    ask,
    insert: async ({ name, columns }, rows) => {
      const statement = prepared(
        `insert into "${name}" (${columns.map((column) => `"${column.name}"`).join()}) values (${columns.map(() => '?').join()})`
      )
      client.transaction(() => {
        for (const row of rows) statement.run(row)
      })()
    },
    sorted: ({ name }) => `"${name}"`,
    names,
    applied: async () => {
      const [there] = await ask('select 1 from sqlite_master where name = ?', [MIGRATIONS])
      const [[count, newest] = []] =
        there === undefined ? [] : await ask(`select count(*), max(created_at) from ${MIGRATIONS}`)
      return { count: Number(count ?? 0), newest: Number(newest ?? 0) }
    },
    counted: async ({ name }) =>
      Number((await ask('select seq from sqlite_sequence where name = ?', [name]))[0]?.[0] ?? 0),
    countFrom: async ({ name }, highest) => {
      await ask('delete from sqlite_sequence where name = ?', [name])
      await ask('insert into sqlite_sequence (name, seq) values (?, ?)', [name, highest])
    },
    settle: async () => {
      client.pragma('wal_checkpoint(truncate)')
    },
    close: async () => {
      client.close()
    }
  }
}
