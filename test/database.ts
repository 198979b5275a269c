import { hash, randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import Driver from 'better-sqlite3'
import pg from 'pg'
import { copyRows, dumpRows } from './postgres/rows.ts'
import { query } from './postgres/server.ts'

interface Test {
  teardown: (fn: () => unknown) => void
}

/** The server that `npm run test:postgres` has started; where it is not set, tests use SQLite. */
const SERVER = process.env.TEST_POSTGRES
const known = new Set<string>()

export const onPostgres = SERVER !== undefined

/** A database that nobody else has, and what to do at the end. */
export async function ownDatabase(): Promise<{ url: string; drop: () => Promise<void> }> {
  if (SERVER === undefined) return { url: 'sqlite::memory:', drop: async () => {} }
  const name = await create(`t_${randomUUID().replaceAll('-', '')}`)
  return {
    url: at(name),
    drop: async () => {
      await drop(name)
    }
  }
}

/** A database that several processes or starts share until the test ends: the file, or a database that has its name on the server. */
export async function databaseAt(t: Test, file: string): Promise<string> {
  if (SERVER === undefined) return `sqlite:///${file}`
  const name = `f_${hash('sha1', file)}`
  if (!known.has(name)) {
    await create(name)
    t.teardown(async () => {
      await drop(name)
    })
  }
  return at(name)
}

/** Asks a database behind the service's back. Each `?` stands for a value. */
export async function rowsOf<T = Record<string, any>>(
  url: string,
  sql: string,
  ...values: unknown[]
): Promise<T[]> {
  if (isServer(url)) {
    let count = 0
    return await query(
      url,
      sql.replace(/\?/g, () => `$${++count}`),
      values
    )
  }
  return withFile(url, (db) => {
    const statement = db.prepare(sql)
    if (statement.reader) return statement.all(...values) as T[]
    statement.run(...values)
    return []
  })
}

/** Every table of the service with all of its rows. */
export async function tablesOf(url: string): Promise<Map<string, Array<Record<string, unknown>>>> {
  const names = await rowsOf<{ name: string }>(
    url,
    isServer(url)
      ? "select tablename as name from pg_tables where schemaname = 'public'"
      : "select name from sqlite_master where type = 'table'"
  )
  return new Map(
    await Promise.all(
      names.map(async ({ name }) => [name, await rowsOf(url, `select * from "${name}"`)] as const)
    )
  )
}

/** All that is stored at this moment: every byte of the files, or every value of every row. */
export async function contentsOf(url: string): Promise<string> {
  if (isServer(url)) return await dumpRows(url)
  const file = fileOf(url)
  const names = readdirSync(dirname(file)).filter((name) => name.startsWith(basename(file)))
  return names.map((name) => readFileSync(join(dirname(file), name), 'latin1')).join('\n')
}

/** Copies a database as it is now, in use or not, to where `file` is or would be. Resolves to the copy's address. */
export async function copyOf(t: Test, url: string, file: string): Promise<string> {
  const copy = await databaseAt(t, file)
  if (isServer(url)) await copyRows(url, copy)
  else await withFile(url, async (db) => await db.backup(file))
  return copy
}

/** Keeps everybody else from writing, and nobody from reading, until the function is called that it resolves to. */
export async function writeLock(t: Test, url: string): Promise<() => Promise<void>> {
  if (!isServer(url)) {
    const db = new Driver(fileOf(url))
    t.teardown(() => {
      db.close()
    })
    db.exec('begin immediate')
    return async () => {
      db.exec('rollback')
    }
  }
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(async () => {
    await client.end()
  })
  const { rows } = await client.query<{ name: string }>(
    "select quote_ident(tablename) as name from pg_tables where schemaname = 'public'"
  )
  await client.query(`begin; lock table ${rows.map(({ name }) => name).join()} in exclusive mode`)
  return async () => {
    await client.query('rollback')
  }
}

function isServer(url: string): boolean {
  return url.startsWith('postgres')
}

function fileOf(url: string): string {
  return url.replace('sqlite:///', '')
}

function withFile<T>(url: string, ask: (db: Driver.Database) => T): T {
  const db = new Driver(fileOf(url), { timeout: 5_000 })
  const close = () => {
    db.close()
  }
  try {
    const answer = ask(db)
    if (answer instanceof Promise) return answer.finally(close) as T
    close()
    return answer
  } catch (error) {
    close()
    throw error
  }
}

async function create(name: string): Promise<string> {
  known.add(name)
  await query(SERVER as string, `create database ${name}`)
  return name
}

async function drop(name: string): Promise<void> {
  known.delete(name)
  await query(SERVER as string, `drop database if exists ${name} with (force)`)
}

function at(name: string): string {
  return (SERVER as string).replace(/[^/]*$/, name)
}
