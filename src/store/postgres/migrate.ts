import { fileURLToPath } from 'node:url'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import type pg from 'pg'
import { StartError } from '../../lib/errors.ts'
import { BEHIND, COPYING, HALF_COPIED, NEWER, type EngineOptions } from '../engine.ts'
import { apart, type Pool } from './pool.ts'
import { driverCode, newestMigration } from '../prepared.ts'

const MIGRATIONS = fileURLToPath(new URL('../../../drizzle/postgres/migrations', import.meta.url))
/** The moment of this version's newest migration. */
export const NEWEST = newestMigration(MIGRATIONS)
const LATEST = 'select max(created_at) as at from drizzle.__drizzle_migrations'
/** Held while tables are brought up to date, so that of many starts one does it. Any number does, as long as it is always the same. */
const MIGRATION_LOCK = 4_107_226_891

/**
 * Looks whether the server can be trusted and whether its tables fit, and brings them up to date: one instance does it, the others
 * wait for it and find nothing left to do.
 *
 * @throws StartError one sentence
 */
export async function prepareServer(
  pool: Pool,
  url: string,
  { migrates, durable }: EngineOptions
): Promise<void> {
  const client = apart(url)
  try {
    await client.connect()
    if (durable) await requireDurability(client)
    if (migrates) await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK])
    const {
      rows: [half]
    } = await client.query('select to_regclass($1) is not null as there', [COPYING])
    if (half.there === true) throw new StartError([HALF_COPIED], 1)
    const latest = await latestOn(client)
    if (latest > NEWEST) throw new StartError([NEWER], 1)
    if (latest < NEWEST && !migrates) throw new StartError([BEHIND], 1)
    if (latest < NEWEST) {
      await migrate(drizzle({ client }), { migrationsFolder: MIGRATIONS }).catch(notMigrated)
    }
    await client.end()
  } catch (error) {
    await client.end().catch(() => {})
    await pool.close()
    if (error instanceof StartError) throw error
    throw new StartError(
      [
        `The database that INTEGRATION_DB_URL names cannot be used (${driverCode(error) ?? 'no answer'}). Check address, user, password, database name and TLS.`
      ],
      1
    )
  }
}

function notMigrated(error: unknown): never {
  throw new StartError(
    [
      `The database tables could not be brought up to date (${driverCode(error) ?? 'unknown reason'}). Is INTEGRATION_DB_URL another program's database?`
    ],
    1
  )
}

/** Whether every migration of this version is applied; a newer version may have applied more, while the two take turns. */
export async function migrated(pool: Pool): Promise<boolean> {
  const [row] = (await pool.query({ text: LATEST })).rows as Array<{ at: number | string | null }>
  return Number(row?.at ?? 0) >= NEWEST
}

async function requireDurability(client: pg.Client): Promise<void> {
  const {
    rows: [found]
  } = await client.query(
    "select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit"
  )
  if (found.fsync === 'off' || found.commit === 'off') {
    throw new StartError(
      [
        'PostgreSQL runs with fsync or synchronous_commit off: what it acknowledges may be lost. Turn them on, or set DB_REQUIRE_DURABLE=false where that is what you want.'
      ],
      1
    )
  }
}

async function latestOn(client: pg.Client): Promise<number> {
  const {
    rows: [known]
  } = await client.query("select to_regclass('drizzle.__drizzle_migrations') is not null as there")
  return known.there === true ? Number((await client.query(LATEST)).rows[0]?.at) : 0
}
