import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Driver from 'better-sqlite3'
import { openEngine, type Engine } from '../src/store/engine.ts'
import { startServer } from '../test/postgres/server.ts'
import { filling, type Size } from './explain-fill.ts'

/** What a table and its indexes take, in bytes. */
export interface Space {
  table: string
  rows: number
  bytes: number
  indexes: Array<{ name: string; bytes: number }>
}

/** A filled database. */
export interface Filled {
  engine: Engine
  spaces: Space[]
  /** Seconds that filling took, and bytes of all of it. */
  tookS: number
  bytes: number
  /** SQLite: the file. */
  file: string
  remove: () => Promise<void>
}

const LONG_MS = 600_000

export async function filledSqlite(size: Size): Promise<Filled> {
  const folder = mkdtempSync(join(tmpdir(), 'explain-'))
  const file = join(folder, 'explain.db')
  await (await openEngine(`sqlite:///${file}`)).close()
  const db = new Driver(file)
  const from = performance.now()
  for (const statement of filling(size, {
    noise: (characters) => `substr(hex(randomblob(${Math.ceil(characters / 2)})), 1, ${characters})`
  })) {
    db.exec(statement)
  }
  const tookS = (performance.now() - from) / 1000
  const used = new Map(
    (
      db.prepare('select name, sum(pgsize) as bytes from dbstat group by name').all() as Array<{
        name: string
        bytes: number
      }>
    ).map(({ name, bytes }) => [name, bytes])
  )
  const tables = db
    .prepare(
      "select name from sqlite_master where type = 'table' and name not like '%migrations' and name not like 'sqlite_%'"
    )
    .pluck()
    .all() as string[]
  const spaces = tables.map((table) => {
    const indexes = (
      db
        .prepare("select name from sqlite_master where type = 'index' and tbl_name = ?")
        .pluck()
        .all(table) as string[]
    ).map((name) => ({ name, bytes: used.get(name) ?? 0 }))
    return {
      table,
      rows: db.prepare(`select count(*) from "${table}"`).pluck().get() as number,
      bytes: used.get(table) ?? 0,
      indexes
    }
  })
  db.pragma('wal_checkpoint(TRUNCATE)')
  db.close()
  // The service never runs ANALYZE here, so neither does this.
  return {
    engine: await openEngine(`sqlite:///${file}`),
    spaces,
    tookS,
    bytes: statSync(file).size,
    file,
    remove: async () => {
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** @param settings of the server, as `name=value` */
export async function filledPostgres(size: Size, settings: string[] = []): Promise<Filled> {
  const server = await startServer(['max_wal_size=8GB', ...settings])
  try {
    const url = await server.createDatabase('explain')
    await (await openEngine(url)).close()
    const ask = async (text: string) => await server.query(text, [], 'explain')
    const from = performance.now()
    for (const statement of filling(size, {
      noise: (characters) =>
        `(select left(string_agg(md5(i || '-' || k), ''), ${characters}) from generate_series(1, ${Math.ceil(characters / 32)}) k)`
    })) {
      await ask(statement)
    }
    for (const { sequence, table } of await ask(
      "select pg_get_serial_sequence(table_name, 'id') as sequence, table_name as table from information_schema.columns where table_schema = 'public' and column_name = 'id' and is_identity = 'YES'"
    )) {
      await ask(`select setval('${sequence}', (select coalesce(max(id), 1) from "${table}"))`)
    }
    const tookS = (performance.now() - from) / 1000
    await ask('vacuum analyze')
    const tables = await ask(
      "select relname as table, reltuples::float8 as rows, pg_table_size(oid)::float8 as bytes from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1"
    )
    const indexes = await ask(
      "select tablename as table, indexname as name, pg_relation_size(indexname::regclass)::float8 as bytes from pg_indexes where schemaname = 'public'"
    )
    const [{ bytes }] = await ask("select pg_database_size('explain')::float8 as bytes")
    return {
      engine: await openEngine(url, { statementTimeoutMs: LONG_MS, lockTimeoutMs: LONG_MS }),
      spaces: tables.map((each) => ({
        ...each,
        indexes: indexes.filter(({ table }) => table === each.table)
      })),
      tookS,
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
