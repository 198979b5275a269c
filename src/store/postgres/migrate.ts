import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import type pg from 'pg'
import { StartError } from '../../lib/errors.ts'
import { resolveFromRoot } from '../../lib/root-folder.ts'
import {
  OUTDATED_TABLES_MESSAGE,
  COPY_MARKER_TABLE,
  INCOMPLETE_COPY_MESSAGE,
  NEWER_VERSION_MESSAGE,
  type EngineOptions
} from '../engine.ts'
import { openDedicatedClient, type Pool } from './pool.ts'
import { getDriverErrorCode, countMigrationsAfter, readLatestMigration } from '../prepared.ts'

const MIGRATIONS_FOLDER = resolveFromRoot('drizzle/postgres/migrations')
/** The time of this version's newest migration, in milliseconds since the epoch. */
export const LATEST_MIGRATION = readLatestMigration(MIGRATIONS_FOLDER)
const LATEST_APPLIED_QUERY = 'select max(created_at) as at from drizzle.__drizzle_migrations'
/**
 * Advisory lock held while migrations run, so that one of several starting instances runs them.
 * An arbitrary constant.
 */
export const MIGRATION_LOCK_ID = 4_107_226_891

/**
 * Checks that the server is durable enough and that its tables fit this version, then applies
 * missing migrations. One instance migrates; the others wait for the lock and find nothing left
 * to do.
 *
 * @throws StartError with one sentence
 */
export async function prepareServer(
  pool: Pool,
  url: string,
  { autoMigrate, requireDurability, onMigrated }: EngineOptions
): Promise<void> {
  let client: pg.Client | undefined
  try {
    client = await openDedicatedClient(url)
    if (requireDurability) await assertDurable(client)
    if (autoMigrate) await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK_ID])
    const {
      rows: [copyMarker]
    } = await client.query('select to_regclass($1) is not null as present', [COPY_MARKER_TABLE])
    if (copyMarker.present === true) throw new StartError([INCOMPLETE_COPY_MESSAGE], 1)
    const latestApplied = await readLatestApplied(client)
    if (latestApplied > LATEST_MIGRATION) throw new StartError([NEWER_VERSION_MESSAGE], 1)
    if (latestApplied < LATEST_MIGRATION && !autoMigrate) {
      throw new StartError([OUTDATED_TABLES_MESSAGE], 1)
    }
    if (latestApplied < LATEST_MIGRATION) {
      await migrate(drizzle({ client }), { migrationsFolder: MIGRATIONS_FOLDER }).catch(
        throwMigrationError
      )
      onMigrated(countMigrationsAfter(MIGRATIONS_FOLDER, latestApplied))
    }
    await client.end()
  } catch (error) {
    await client?.end().catch(() => {})
    await pool.close()
    if (error instanceof StartError) throw error
    throw new StartError([unusableMessage('INTEGRATION_DB_URL', error)], 1)
  }
}

/** @param name the setting or option that names the database */
export function unusableMessage(name: string, error: unknown): string {
  return (
    `The database that ${name} names cannot be used (${getDriverErrorCode(error) ?? 'no answer'}). ` +
    'Check address, user, password, database name and TLS.'
  )
}

function throwMigrationError(error: unknown): never {
  throw new StartError(
    [
      `The database could not be migrated (${getDriverErrorCode(error) ?? 'unknown reason'}). ` +
        "Is INTEGRATION_DB_URL another program's database?"
    ],
    1
  )
}

/**
 * Whether every migration of this version is applied. During a rolling upgrade a newer version
 * may have applied more.
 */
export async function isMigrated(pool: Pool): Promise<boolean> {
  // Named, so that it fails where named statements do.
  const query = { name: 'latest_migration', text: LATEST_APPLIED_QUERY }
  const [row] = (await pool.query(query)).rows as Array<{
    at: number | string | null
  }>
  return Number(row?.at ?? 0) >= LATEST_MIGRATION
}

async function assertDurable(client: pg.Client): Promise<void> {
  const {
    rows: [settings]
  } = await client.query(
    "select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit"
  )
  if (settings.fsync === 'off' || settings.commit === 'off') {
    throw new StartError(
      [
        'PostgreSQL runs with fsync or synchronous_commit off, so it may lose acknowledged ' +
          'writes. Turn them on, or set DB_REQUIRE_DURABLE=false to accept that.'
      ],
      1
    )
  }
}

async function readLatestApplied(client: pg.Client): Promise<number> {
  const {
    rows: [table]
  } = await client.query(
    "select to_regclass('drizzle.__drizzle_migrations') is not null as present"
  )
  return table.present === true ? Number((await client.query(LATEST_APPLIED_QUERY)).rows[0]?.at) : 0
}
