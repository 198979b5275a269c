import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core'
import type pg from 'pg'
import * as schema from '../../../drizzle/postgres/schema.ts'
import { StartError } from '../../lib/errors.ts'
import { NEWEST } from '../postgres/migrate.ts'
import { apart, APPLICATION, types } from '../postgres/pool.ts'
import { driverCode } from '../prepared.ts'
import type { Cell, Connection, Row } from './raw-database.ts'
import { tablesOf } from './table-order.ts'

const TABLES = tablesOf(schema, (table) => getTableConfig(table as unknown as PgTable))
const MIGRATIONS = 'drizzle.__drizzle_migrations'
/** Who holds this is the only one to copy into a database. Any number does, as long as it is always the same. */
const COPY_LOCK = 4_107_226_892
/** A copy that was killed a moment ago lets go of its lock when the server has noticed. */
const PATIENCE = '10s'

export async function openSource(url: string, name: string): Promise<Connection> {
  const client = await connect(url, name)
  await client.query('begin isolation level repeatable read read only')
  return connection(client)
}

export async function openTarget(url: string, name: string): Promise<Connection> {
  const client = await connect(url, name)
  try {
    await client.query(`set lock_timeout = '${PATIENCE}'`)
    await client.query('select pg_advisory_lock($1)', [COPY_LOCK])
    await client.query('set lock_timeout = 0')
    return connection(client)
  } catch (error) {
    await client.end().catch(() => {})
    throw new StartError(
      [
        driverCode(error) === '55P03'
          ? `Another copy into the database that ${name} names is under way.`
          : unusable(name, error)
      ],
      1
    )
  }
}

async function connect(url: string, name: string): Promise<pg.Client> {
  // Nothing here is asked in a hurry, and a source waits while its target is written.
  // By its name a service is recognised, which this is not.
  const client = apart(url, `${APPLICATION} copy`)
  try {
    await client.connect()
    return client
  } catch (error) {
    await client.end().catch(() => {})
    throw new StartError([unusable(name, error)], 1)
  }
}

function unusable(name: string, error: unknown): string {
  return `The database that ${name} names cannot be used (${driverCode(error) ?? 'no answer'}). Check address, user, password, database name and TLS.`
}

function connection(client: pg.Client): Connection {
  const query = async (text: string, values: readonly unknown[] = []) =>
    (await client.query({ text, values: [...values], rowMode: 'array', types })).rows as Row[]
  const ask = async (sql: string, values?: readonly Cell[]) => {
    let place = 0
    return await query(
      sql.replaceAll('?', () => `$${++place}`),
      values
    )
  }
  const sequence = ({ name, counter }: { name: string; counter: string | undefined }) =>
    `pg_get_serial_sequence('"${name}"', '${counter}')::regclass`

  return {
    tables: TABLES,
    identity: `postgres ${client.host}:${client.port}/${client.database ?? ''}`,
    newest: NEWEST,
    ask,
    // A list for each column: a statement may have 65,535 values, and a batch has more cells.
    insert: async ({ name, columns }, rows) => {
      await query(
        `insert into "${name}" (${columns.map((column) => `"${column.name}"`).join()}) select * from unnest(${columns.map(({ type }, i) => `$${i + 1}::${withoutCollation(type)}[]`).join()})`,
        columns.map((_, i) => rows.map((row) => row[i]))
      )
    },
    sorted: ({ name, type }) =>
      withoutCollation(type) === 'text' ? `"${name}" collate "C"` : `"${name}"`,
    names: async () =>
      (await ask('select tablename from pg_tables where schemaname = current_schema()')).map(
        String
      ),
    applied: async () => {
      const [[there] = []] = await ask(`select to_regclass('${MIGRATIONS}')::text`)
      const [[count, newest] = []] =
        there === null ? [] : await ask(`select count(*), max(created_at) from ${MIGRATIONS}`)
      return { count: Number(count ?? 0), newest: Number(newest ?? 0) }
    },
    isInUse: async () =>
      (
        await ask(
          `select 1 from pg_stat_activity where datname = current_database() and application_name = '${APPLICATION}'`
        )
      ).length > 0,
    counted: async (table) =>
      Number((await ask(`select pg_sequence_last_value(${sequence(table)})`))[0]?.[0] ?? 0),
    countFrom: async (table, highest) => {
      await ask(`select setval(${sequence(table)}, ?, ?)`, [
        Math.max(1, highest),
        highest > 0 ? 'true' : 'false'
      ])
    },
    // Without it the first plans are made for empty tables.
    settle: async () => {
      for (const { name } of TABLES) await ask(`analyze "${name}"`)
    },
    close: async () => {
      await client.end()
    }
  }
}

function withoutCollation(type: string): string {
  return type.replace(/ collate .*/, '')
}
