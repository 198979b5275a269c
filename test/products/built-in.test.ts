import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import {
  generateDrizzleJson,
  generateMigration,
  generateSQLiteDrizzleJson,
  generateSQLiteMigration
} from 'drizzle-kit/api'
import t from 'tap'
import { columns as postgresColumns } from '../../drizzle/postgres/columns.ts'
import { columns as sqliteColumns } from '../../drizzle/sqlite/columns.ts'
import { defineTables } from '../../drizzle/tables.ts'
import { itemTableShapes } from '../../src/providers/index.ts'

/** The schema after the newest migration, as drizzle-kit wrote it down. */
function readLatestSnapshot(engine: 'sqlite' | 'postgres') {
  const folder = fileURLToPath(new URL(`../../drizzle/${engine}/migrations/meta/`, import.meta.url))
  const { entries } = JSON.parse(readFileSync(`${folder}_journal.json`, 'utf8')) as {
    entries: Array<{ idx: number }>
  }
  const name = `${String(entries.at(-1)?.idx).padStart(4, '0')}_snapshot.json`
  return JSON.parse(readFileSync(folder + name, 'utf8'))
}

t.test('The migrations make the tables that the built-in products declare', async (t) => {
  const sqlite = await generateSQLiteDrizzleJson(
    Object.fromEntries(defineTables(sqliteColumns, itemTableShapes).all.entries())
  )
  t.same(await generateSQLiteMigration(readLatestSnapshot('sqlite'), sqlite), [])
  const postgres = generateDrizzleJson(
    Object.fromEntries(defineTables(postgresColumns, itemTableShapes).all.entries())
  )
  t.same(await generateMigration(readLatestSnapshot('postgres'), postgres), [])
})
