import { hash, randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import Driver from 'better-sqlite3'
import pg from 'pg'
import { copyRows, dumpRows } from './postgres/rows.ts'
import { queryPostgres } from './postgres/server.ts'
import type { TestContext } from './types.ts'

/** The server that `npm run test:postgres` starts; unset, tests use SQLite. */
const POSTGRES_URL = process.env.TEST_POSTGRES
const createdDatabases = new Set<string>()

export const isPostgres = POSTGRES_URL !== undefined

/** Creates an exclusive database; `drop` removes it. */
export async function createTestDatabase(): Promise<{ url: string; drop: () => Promise<void> }> {
  if (POSTGRES_URL === undefined) return { url: 'sqlite::memory:', drop: async () => {} }
  const name = await createPostgresDatabase(`t_${randomUUID().replaceAll('-', '')}`)
  return {
    url: toDatabaseUrl(name),
    drop: async () => {
      await dropPostgresDatabase(name)
    }
  }
}

/**
 * A database that several processes or starts share until the test ends: the file, or a database
 * of that name on the server.
 */
export async function ensureDatabase(t: TestContext, file: string): Promise<string> {
  if (POSTGRES_URL === undefined) return `sqlite:///${file}`
  const name = `f_${hash('sha1', file)}`
  if (!createdDatabases.has(name)) {
    await createPostgresDatabase(name)
    t.teardown(async () => {
      await dropPostgresDatabase(name)
    })
  }
  return toDatabaseUrl(name)
}

/** Queries a database without the service. Each `?` is a parameter. */
export async function queryDatabase<T = Record<string, any>>(
  url: string,
  sql: string,
  ...values: unknown[]
): Promise<T[]> {
  if (isPostgresUrl(url)) {
    let count = 0
    return await queryPostgres(
      url,
      sql.replace(/\?/g, () => `$${++count}`),
      values
    )
  }
  return withSqliteFile(url, (db) => {
    const statement = db.prepare(sql)
    if (statement.reader) return statement.all(...values) as T[]
    statement.run(...values)
    return []
  })
}

/** Every table of the service with all its rows. */
export async function readAllTables(
  url: string
): Promise<Map<string, Array<Record<string, unknown>>>> {
  const names = await queryDatabase<{ name: string }>(
    url,
    isPostgresUrl(url)
      ? "select tablename as name from pg_tables where schemaname = 'public'"
      : "select name from sqlite_master where type = 'table'"
  )
  return new Map(
    await Promise.all(
      names.map(
        async ({ name }) => [name, await queryDatabase(url, `select * from "${name}"`)] as const
      )
    )
  )
}

/** All stored data: every byte of the files, or every value of every row. */
export async function readDatabaseContents(url: string): Promise<string> {
  if (isPostgresUrl(url)) return await dumpRows(url)
  const file = getSqlitePath(url)
  const names = readdirSync(dirname(file)).filter((name) => name.startsWith(basename(file)))
  return names.map((name) => readFileSync(join(dirname(file), name), 'latin1')).join('\n')
}

/**
 * Copies a database in its current state, in use or not, to `file` or its PostgreSQL
 * counterpart.
 * @returns the URL of the copy
 */
export async function copyDatabase(t: TestContext, url: string, file: string): Promise<string> {
  const copy = await ensureDatabase(t, file)
  if (isPostgresUrl(url)) await copyRows(url, copy)
  else await withSqliteFile(url, async (db) => await db.backup(file))
  return copy
}

/** Blocks all other writers, and no readers, until the returned function is called. */
export async function acquireWriteLock(t: TestContext, url: string): Promise<() => Promise<void>> {
  if (!isPostgresUrl(url)) {
    const db = new Driver(getSqlitePath(url))
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

function isPostgresUrl(url: string): boolean {
  return url.startsWith('postgres')
}

function getSqlitePath(url: string): string {
  return url.replace('sqlite:///', '')
}

function withSqliteFile<T>(url: string, callback: (db: Driver.Database) => T): T {
  const db = new Driver(getSqlitePath(url), { timeout: 5_000 })
  const close = () => {
    db.close()
  }
  try {
    const answer = callback(db)
    if (answer instanceof Promise) return answer.finally(close) as T
    close()
    return answer
  } catch (error) {
    close()
    throw error
  }
}

async function createPostgresDatabase(name: string): Promise<string> {
  createdDatabases.add(name)
  await queryPostgres(POSTGRES_URL as string, `create database ${name}`)
  return name
}

async function dropPostgresDatabase(name: string): Promise<void> {
  createdDatabases.delete(name)
  await queryPostgres(POSTGRES_URL as string, `drop database if exists ${name} with (force)`)
}

function toDatabaseUrl(name: string): string {
  return (POSTGRES_URL as string).replace(/[^/]*$/, name)
}
