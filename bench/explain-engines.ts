import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Driver from 'better-sqlite3'
import type { Engine } from '../src/store/engine.ts'
import { openEngine } from '../src/store/open-engine.ts'
import { startPostgresServer } from '../test/postgres/server.ts'
import { buildFillStatements, type DatasetSize } from './explain-fill.ts'

/** Sizes of a table and its indexes, in bytes. */
export interface TableSize {
  table: string
  rows: number
  bytes: number
  indexes: Array<{ name: string; bytes: number }>
}

/** A filled database. */
export interface FilledEngine {
  engine: Engine
  tableSizes: TableSize[]
  /** Seconds the fill took, and total bytes of the database. */
  fillSeconds: number
  bytes: number
  /** Path of the SQLite file; empty for PostgreSQL. */
  file: string
  remove: () => Promise<void>
}

const STATEMENT_TIMEOUT_MS = 600_000

export async function fillSqlite(size: DatasetSize): Promise<FilledEngine> {
  const folder = mkdtempSync(join(tmpdir(), 'explain-'))
  const file = join(folder, 'explain.db')
  await (await openEngine(`sqlite:///${file}`)).close()
  const db = new Driver(file)
  const from = performance.now()
  for (const statement of buildFillStatements(size, {
    noise: (characters) => `substr(hex(randomblob(${Math.ceil(characters / 2)})), 1, ${characters})`
  })) {
    db.exec(statement)
  }
  const fillSeconds = (performance.now() - from) / 1000
  const bytesByName = new Map(
    (
      db.prepare('select name, sum(pgsize) as bytes from dbstat group by name').all() as Array<{
        name: string
        bytes: number
      }>
    ).map(({ name, bytes }) => [name, bytes])
  )
  const tables = db
    .prepare(
      `select name from sqlite_master
       where type = 'table' and name not like '%migrations' and name not like 'sqlite_%'`
    )
    .pluck()
    .all() as string[]
  const tableSizes = tables.map((table) => {
    const indexes = (
      db
        .prepare("select name from sqlite_master where type = 'index' and tbl_name = ?")
        .pluck()
        .all(table) as string[]
    ).map((name) => ({ name, bytes: bytesByName.get(name) ?? 0 }))
    return {
      table,
      rows: db.prepare(`select count(*) from "${table}"`).pluck().get() as number,
      bytes: bytesByName.get(table) ?? 0,
      indexes
    }
  })
  db.pragma('wal_checkpoint(TRUNCATE)')
  db.close()
  // No ANALYZE: the service does not run it on SQLite either.
  return {
    engine: await openEngine(`sqlite:///${file}`),
    tableSizes,
    fillSeconds,
    bytes: statSync(file).size,
    file,
    remove: async () => {
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** @param settings PostgreSQL settings as `name=value` */
export async function fillPostgres(
  size: DatasetSize,
  settings: string[] = []
): Promise<FilledEngine> {
  const server = await startPostgresServer(['max_wal_size=8GB', ...settings])
  try {
    const url = await server.createDatabase('explain')
    await (await openEngine(url)).close()
    const execute = async (text: string) => await server.query(text, [], 'explain')
    const from = performance.now()
    for (const statement of buildFillStatements(size, {
      noise: (characters) =>
        `(select left(string_agg(md5(i || '-' || k), ''), ${characters})
          from generate_series(1, ${Math.ceil(characters / 32)}) k)`
    })) {
      await execute(statement)
    }
    for (const { sequence, table } of await execute(
      `select pg_get_serial_sequence(table_name, 'id') as sequence, table_name as table
       from information_schema.columns
       where table_schema = 'public' and column_name = 'id' and is_identity = 'YES'`
    )) {
      await execute(`select setval('${sequence}', (select coalesce(max(id), 1) from "${table}"))`)
    }
    const fillSeconds = (performance.now() - from) / 1000
    await execute('vacuum analyze')
    const tables = await execute(
      `select relname as table, reltuples::float8 as rows, pg_table_size(oid)::float8 as bytes
       from pg_class
       where relkind = 'r' and relnamespace = 'public'::regnamespace
       order by 1`
    )
    const indexes = await execute(
      `select tablename as table, indexname as name,
         pg_relation_size(indexname::regclass)::float8 as bytes
       from pg_indexes
       where schemaname = 'public'`
    )
    const [{ bytes }] = await execute("select pg_database_size('explain')::float8 as bytes")
    return {
      engine: await openEngine(url, {
        statementTimeoutMs: STATEMENT_TIMEOUT_MS,
        lockTimeoutMs: STATEMENT_TIMEOUT_MS
      }),
      tableSizes: tables.map((each) => ({
        ...each,
        indexes: indexes.filter(({ table }) => table === each.table)
      })),
      fillSeconds,
      bytes,
      file: '',
      remove: async () => {
        await server.remove()
      }
    }
  } catch (error) {
    await server.remove()
    throw error
  }
}
