import { queryDatabase } from '../database.ts'
import type { EngineName } from './fixture.ts'

const TABLES_QUERY = {
  sqlite:
    "select name from sqlite_master where type = 'table' and name not like 'sqlite_%' " +
    "and name <> '__drizzle_migrations' order by name",
  postgres: "select tablename as name from pg_tables where schemaname = 'public' order by 1"
}

/** The tables of the service, which a fixture has rows of. */
export async function listTables(engine: EngineName, url: string): Promise<string[]> {
  const rows = await queryDatabase<{ name: string }>(url, TABLES_QUERY[engine])
  return rows.map(({ name }) => name)
}

/** The statements that insert every row of a database into empty tables, and continue its ids. */
export async function dumpInserts(engine: EngineName, url: string): Promise<string[]> {
  const statements: string[] = []
  for (const name of await listTables(engine, url)) {
    for (const row of await queryDatabase(url, `select * from "${name}" order by 1`)) {
      const columns = Object.keys(row).map((column) => `"${column}"`)
      const values = Object.values(row).map(toLiteral)
      statements.push(
        `insert into "${name}" (${columns.join(', ')}) values (${values.join(', ')});`
      )
    }
  }
  return [...statements, ...(await listSequences(engine, url))]
}

/** An id is never used twice, even if its row is gone. */
async function listSequences(engine: EngineName, url: string): Promise<string[]> {
  if (engine === 'sqlite') {
    const rows = await queryDatabase(url, 'select name, seq from sqlite_sequence order by name')
    return rows.map(
      ({ name, seq }) => `update sqlite_sequence set seq = ${seq} where name = '${name}';`
    )
  }
  const rows = await queryDatabase(
    url,
    "select sequencename as name, last_value as seq from pg_sequences where schemaname = 'public' " +
      'and last_value is not null order by 1'
  )
  return rows.map(({ name, seq }) => `select setval('"${name}"', ${seq});`)
}

function toLiteral(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value === 'number') return String(value)
  if (typeof value === 'string') return `'${value.replaceAll("'", "''")}'`
  throw new Error(`A column holds a ${typeof value}, which a fixture cannot.`)
}
