import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core'
import type pg from 'pg'
import { columns } from '../../../drizzle/postgres/columns.ts'
import { defineTables } from '../../../drizzle/tables.ts'
import { StartError } from '../../lib/errors.ts'
import { itemTableShapes } from '../../providers/index.ts'
import { LATEST_MIGRATION, unusableMessage } from '../postgres/migrate.ts'
import { openDedicatedClient, APPLICATION_NAME, typeParsers } from '../postgres/pool.ts'
import { getDriverErrorCode } from '../prepared.ts'
import type { CellValue, RawDatabase, CellRow } from './raw-database.ts'
import { orderTables } from './table-order.ts'

const TABLES = orderTables(defineTables(columns, itemTableShapes).all, (table) =>
  getTableConfig(table as unknown as PgTable)
)
const MIGRATIONS_TABLE = 'drizzle.__drizzle_migrations'
/** An arbitrary id for the advisory lock whose holder alone copies into the database. */
const COPY_LOCK_ID = 4_107_226_892
/**
 * How long to wait for the lock. The lock of a copy that was killed remains until the server notices
 * the closed connection.
 */
const LOCK_TIMEOUT = '10s'
/** PostgreSQL's error code `lock_not_available`. */
const LOCK_NOT_AVAILABLE = '55P03'

export async function openSource(url: string, name: string): Promise<RawDatabase> {
  const client = await connect(url, name)
  await client.query('begin isolation level repeatable read read only')
  return createRawDatabase(client)
}

export async function openTarget(url: string, name: string): Promise<RawDatabase> {
  const client = await connect(url, name)
  try {
    await client.query(`set lock_timeout = '${LOCK_TIMEOUT}'`)
    await client.query('select pg_advisory_lock($1)', [COPY_LOCK_ID])
    await client.query('set lock_timeout = 0')
    return createRawDatabase(client)
  } catch (error) {
    await client.end().catch(() => {})
    throw new StartError(
      [
        getDriverErrorCode(error) === LOCK_NOT_AVAILABLE
          ? `Another copy into the database that ${name} names is running.`
          : unusableMessage(name, error)
      ],
      1
    )
  }
}

async function connect(url: string, name: string): Promise<pg.Client> {
  // No time limits: a source waits while its target is written. The application name differs
  // from the service's, so that `isInUse` does not take the copy for a running service.
  try {
    return await openDedicatedClient(url, `${APPLICATION_NAME} copy`)
  } catch (error) {
    if (error instanceof StartError) throw error
    throw new StartError([unusableMessage(name, error)], 1)
  }
}

function createRawDatabase(client: pg.Client): RawDatabase {
  const runQuery = async (text: string, values: readonly unknown[] = []) =>
    (await client.query({ text, values: [...values], rowMode: 'array', types: typeParsers }))
      .rows as CellRow[]
  const query = async (sql: string, values?: readonly CellValue[]) => {
    let parameterIndex = 0
    return await runQuery(
      sql.replaceAll('?', () => `$${++parameterIndex}`),
      values
    )
  }
  const sequenceExpression = ({
    name,
    identityColumn
  }: {
    name: string
    identityColumn: string | undefined
  }) => `pg_get_serial_sequence('"${name}"', '${identityColumn}')::regclass`

  return {
    tables: TABLES,
    identity: `postgres ${client.host}:${client.port}/${client.database ?? ''}`,
    latestMigration: LATEST_MIGRATION,
    query,
    // One array per column, because a batch has more cells than the 65,535 values a statement takes.
    insertRows: async ({ name, columns }, rows) => {
      const names = columns.map((column) => `"${column.name}"`).join()
      const arrays = columns.map(({ type }, i) => `$${i + 1}::${withoutCollation(type)}[]`).join()
      await runQuery(
        `insert into "${name}" (${names}) select * from unnest(${arrays})`,
        columns.map((_, i) => rows.map((row) => row[i]))
      )
    },
    orderExpression: ({ name, type }) =>
      withoutCollation(type) === 'text' ? `"${name}" collate "C"` : `"${name}"`,
    tableNames: async () =>
      (await query('select tablename from pg_tables where schemaname = current_schema()')).map(
        String
      ),
    migrationState: async () => {
      const [[migrationsTable] = []] = await query(
        `select to_regclass('${MIGRATIONS_TABLE}')::text`
      )
      const [[count, newest] = []] =
        migrationsTable === null
          ? []
          : await query(`select count(*), max(created_at) from ${MIGRATIONS_TABLE}`)
      return { count: Number(count ?? 0), latest: Number(newest ?? 0) }
    },
    isInUse: async () =>
      (
        await query(
          `select 1 from pg_stat_activity
           where datname = current_database() and application_name = '${APPLICATION_NAME}'`
        )
      ).length > 0,
    lastSequence: async (table) =>
      Number(
        (await query(`select pg_sequence_last_value(${sequenceExpression(table)})`))[0]?.[0] ?? 0
      ),
    setSequence: async (table, maxId) => {
      await query(`select setval(${sequenceExpression(table)}, ?, ?)`, [
        Math.max(1, maxId),
        maxId > 0 ? 'true' : 'false'
      ])
    },
    // Without ANALYZE the first query plans assume empty tables.
    finishBulkLoad: async () => {
      for (const { name } of TABLES) await query(`analyze "${name}"`)
    },
    close: async () => {
      await client.end()
    }
  }
}

function withoutCollation(type: string): string {
  return type.replace(/ collate .*/, '')
}
