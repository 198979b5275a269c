import { createHash } from 'node:crypto'
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Driver from 'better-sqlite3'
import { drizzle as drizzleSqlite } from 'drizzle-orm/better-sqlite3'
import { migrate as migrateSqlite } from 'drizzle-orm/better-sqlite3/migrator'
import { drizzle as drizzlePostgres } from 'drizzle-orm/node-postgres'
import { migrate as migratePostgres } from 'drizzle-orm/node-postgres/migrator'
import pg from 'pg'
import { parseKeyring } from '../../src/vault/keyring.ts'
import { createVault } from '../../src/vault/vault.ts'
import { isPostgres, queryDatabase } from '../database.ts'

export type EngineName = 'sqlite' | 'postgres'

export const TESTED_ENGINE: EngineName = isPostgres ? 'postgres' : 'sqlite'
/** Encrypts the tokens of every fixture. */
export const FIXTURE_KEY = `fixture:${createHash('sha256').update('upgrade fixtures').digest('base64')}`
export const FIXTURE_FOLDER = fileURLToPath(new URL('../fixtures/upgrades/', import.meta.url))
const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** What the first line of a fixture says, beside its rows. */
export interface FixtureFacts {
  /** The commit whose code wrote the rows. */
  commit: string
  /** Milliseconds since the epoch, when the rows were complete. */
  at: number
  /** SHA-256 of each migration that the code had applied, as Drizzle computes it. */
  migrations: string[]
  /** A position in the change feed of the first user, and how many changes follow it. */
  feed: { cursor: string; left: number } | null
}

export interface Fixture extends FixtureFacts {
  /** The name of the newest migration that the database has. */
  version: string
  sql: string
}

interface Journal {
  entries: Array<{ tag: string; when: number }>
}

/** What opens the tokens and verifies the audit trail of a fixture. */
export function openFixtureVault() {
  const { keyring } = parseKeyring(FIXTURE_KEY)
  if (keyring === undefined) throw new Error('Not a keyring')
  return { keyring, vault: createVault(keyring) }
}

/** The names of the migrations in a source tree, oldest first. */
export function listMigrations(engine: EngineName, root = ROOT): string[] {
  return readJournal(join(root, 'drizzle', engine, 'migrations')).entries.map(({ tag }) => tag)
}

/** The fixtures of one engine, oldest version first. */
export function listFixtures(engine: EngineName, folder = FIXTURE_FOLDER): Fixture[] {
  return readdirSync(join(folder, engine))
    .sort()
    .map((name) => readFixture(join(folder, engine, name), name.replace('.sql', '')))
}

/** Writes a fixture: a line of facts, then one statement for each row. */
export function writeFixture(path: string, facts: FixtureFacts, statements: string[]): void {
  writeFileSync(path, `-- ${JSON.stringify(facts)}\n${statements.join('\n')}\n`)
}

/** Creates the tables of a fixture's version in an empty database and inserts its rows. */
export async function loadFixture(
  fixture: Fixture,
  engine: EngineName,
  url: string,
  folder: string
): Promise<void> {
  const migrationsFolder = truncateMigrations(engine, fixture.version, folder)
  if (engine === 'sqlite') {
    const client = new Driver(url.replace('sqlite:///', ''))
    try {
      migrateSqlite(drizzleSqlite({ client }), { migrationsFolder })
      client.pragma('foreign_keys = off')
      client.exec(fixture.sql)
    } finally {
      client.close()
    }
    return
  }
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await migratePostgres(drizzlePostgres({ client }), { migrationsFolder })
    // Neither triggers nor foreign keys: the rows are written as they were stored.
    await client.query(`set session_replication_role = replica; ${fixture.sql}`)
  } finally {
    await client.end()
  }
}

/** The hashes that Drizzle stored of the migrations that a database has, oldest first. */
export async function readMigrationHashes(url: string): Promise<string[]> {
  const table = url.startsWith('postgres') ? 'drizzle.__drizzle_migrations' : '__drizzle_migrations'
  const rows = await queryDatabase<{ hash: string }>(
    url,
    `select hash from ${table} order by created_at`
  )
  return rows.map(({ hash }) => hash)
}

function readFixture(path: string, version: string): Fixture {
  const text = readFileSync(path, 'utf8')
  const end = text.indexOf('\n')
  const facts = JSON.parse(text.slice('-- '.length, end)) as FixtureFacts
  return { ...facts, version, sql: text.slice(end + 1) }
}

/** A copy of today's migrations that ends with the named one. */
function truncateMigrations(engine: EngineName, lastTag: string, folder: string): string {
  const copy = join(folder, `migrations-${engine}-${lastTag}`)
  cpSync(join(ROOT, 'drizzle', engine, 'migrations'), copy, { recursive: true })
  const journal = readJournal(copy)
  const end = journal.entries.findIndex(({ tag }) => tag === lastTag) + 1
  writeFileSync(
    join(copy, 'meta/_journal.json'),
    JSON.stringify({ ...journal, entries: journal.entries.slice(0, end) })
  )
  return copy
}

function readJournal(folder: string): Journal {
  return JSON.parse(readFileSync(join(folder, 'meta/_journal.json'), 'utf8')) as Journal
}
