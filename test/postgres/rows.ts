import pg from 'pg'
import { openEngine } from '../../src/store/open-engine.ts'
import { queryPostgres } from './server.ts'

const TABLE_NAMES_SQL =
  "select quote_ident(tablename) as name from pg_tables where schemaname = 'public' order by 1"

/** Every row of a database with all its values, one per line. */
export async function dumpRows(url: string): Promise<string> {
  const lines: string[] = []
  for (const { name } of await queryPostgres(url, TABLE_NAMES_SQL)) {
    for (const row of await queryPostgres(url, `select * from ${name}`)) {
      lines.push(...Object.values(row as object).map(String))
    }
  }
  return lines.join('\n')
}

/**
 * Creates the tables in the empty database `to` and copies a snapshot of `from` into them;
 * `from` may be in use.
 */
export async function copyRows(from: string, to: string): Promise<void> {
  await (await openEngine(to)).close()
  const [source, target] = [from, to].map(
    (connectionString) => new pg.Client({ connectionString })
  ) as [pg.Client, pg.Client]
  await Promise.all([source.connect(), target.connect()])
  try {
    await source.query('begin isolation level repeatable read')
    // Foreign keys are off: rows may come before those they refer to.
    await target.query('set session_replication_role = replica')
    for (const { name } of (await source.query<{ name: string }>(TABLE_NAMES_SQL)).rows) {
      const [{ rows }] = (
        await source.query<{ rows: string }>(
          `select coalesce(json_agg(t), '[]')::text as rows from ${name} t`
        )
      ).rows as [{ rows: string }]
      await target.query(
        `insert into ${name} select * from json_populate_recordset(null::${name}, $1)`,
        [rows]
      )
      const [{ ids }] = (
        await target.query<{ ids: string | null }>(
          'select case when exists (select from information_schema.columns where table_name = ' +
            `'${name}' and is_identity = 'YES') then pg_get_serial_sequence('${name}', 'id') end ` +
            'as ids'
        )
      ).rows as [{ ids: string | null }]
      if (ids !== null) {
        await target.query(
          `select setval('${ids}', (select coalesce(max(id), 0) + 1 from ${name}), false)`
        )
      }
    }
  } finally {
    await Promise.all([source.end(), target.end()])
  }
}
