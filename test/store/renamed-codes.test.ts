import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Driver from 'better-sqlite3'
import { drizzle as drizzleSqlite } from 'drizzle-orm/better-sqlite3'
import { migrate as migrateSqlite } from 'drizzle-orm/better-sqlite3/migrator'
import { drizzle as drizzlePostgres } from 'drizzle-orm/node-postgres'
import { migrate as migratePostgres } from 'drizzle-orm/node-postgres/migrator'
import pg from 'pg'
import t from 'tap'
import { openEngine } from '../../src/store/open-engine.ts'
import { ensureDatabase, isPostgres, queryDatabase } from '../database.ts'
import { createTempFolder } from '../process/child.ts'

const RENAMED_CODES = {
  tokens_unreadable: 'tokens_undecryptable',
  client_gone: 'client_removed',
  site_gone: 'site_removed',
  items_failed: 'items_skipped',
  item_unfit: 'item_invalid',
  short_listing: 'listing_incomplete',
  nothing_visible: 'listing_empty',
  code_refused: 'invalid_code',
  callback_unfinished: 'callback_interrupted',
  vault_key_worn_out: 'vault_key_exhausted',
  nothing_held: 'no_held_deletions'
}
const OLD_CODES = [...Object.keys(RENAMED_CODES), 'upstream_failed']
const NEW_CODES = [...Object.values(RENAMED_CODES), 'upstream_failed']
const ENGINE_FOLDER = fileURLToPath(
  new URL(`../../drizzle/${isPostgres ? 'postgres' : 'sqlite'}/migrations`, import.meta.url)
)

t.test(
  'An upgrade renames stored error codes and connection options, and changes nothing else',
  async (t) => {
    const folder = createTempFolder(t)
    const url = await ensureDatabase(t, join(folder, 'old.db'))
    await migrateToVersionBefore(url, 'renamed_codes', folder)
    const run = async (sql: string, ...values: unknown[]) =>
      await queryDatabase(url, sql, ...values)
    for (const [i, code] of OLD_CODES.entries()) {
      const id = i + 1
      await run(
        'insert into users (id, email, email_key, created_at) values (?, ?, ?, 0)',
        id,
        `${id}@a.co`,
        `${id}@a.co`
      )
      await run(
        `insert into grants (id, client_id, account_id, scopes, state, error_code, access_token,
        access_expires_at, consented_at, version) values (?, 'c', ?, 's', 'degraded', ?, 't', 0, 0, 1)`,
        `g${id}`,
        `a${id}`,
        code
      )
      await run(
        `insert into connections (id, user_id, provider, grant_id, sites, error_code, connected_at, options)
        values (?, ?, 'jira', ?, '[]', ?, 0, '{"pageBodies":true}')`,
        id,
        id,
        `g${id}`,
        code
      )
      await run(
        "insert into history (id, connection_id, to_state, code, at) values (?, ?, 'active', ?, 0)",
        id,
        id,
        code
      )
      await run(
        `insert into runs (id, owner_id, provider, state, seen, added, changed, calls, created_at,
        error_code, failures) values (?, ?, 'jira', 'partial', 0, 0, 0, 0, 0, ?, ?)`,
        id,
        id,
        code,
        JSON.stringify([
          { site: 's', collection: 'projects', remoteId: '1', code, detail: `Says "${code}".` },
          { site: 's', collection: 'projects', remoteId: code, code: 'item_unfit', detail: '' }
        ])
      )
      await run(
        `insert into flows (state_hash, provider, client_id, redirect_uri, expires_at, outcome)
        values (?, 'jira', 'c', 'https://a.co', 0, ?)`,
        `${id}`.padStart(2, '0'),
        JSON.stringify({ code, detail: code })
      )
      await run(
        `insert into audit (seq, at, actor, action, detail, hash) values (?, 0, 'service', 'x', ?, 'h')`,
        id,
        JSON.stringify({ code })
      )
    }

    await (await openEngine(url)).close()

    const readColumn = async (table: string, column: string, order = 'id') =>
      (await queryDatabase(url, `select ${column} as value from ${table} order by ${order}`)).map(
        ({ value }) => value as string
      )
    const byNumber = 'cast(substr(id, 2) as integer)'
    t.same(await readColumn('grants', 'error_code', byNumber), NEW_CODES)
    t.same(await readColumn('connections', 'error_code'), NEW_CODES)
    t.same([...new Set(await readColumn('connections', 'options'))], ['{"page_bodies":true}'])
    t.same(await readColumn('history', 'code'), NEW_CODES)
    t.same(await readColumn('runs', 'error_code'), NEW_CODES)
    const failures = (await readColumn('runs', 'failures')).map((value) => JSON.parse(value))
    t.same(
      failures.map(([first]) => [first.code, first.detail]),
      NEW_CODES.map((code, i) => [code, `Says "${OLD_CODES[i]}".`])
    )
    t.same(
      failures.map(([, second]) => [second.code, second.remoteId]),
      OLD_CODES.map((code) => ['item_invalid', code])
    )
    t.same(
      (await readColumn('flows', 'outcome', 'state_hash')).map((value) => JSON.parse(value)),
      NEW_CODES.map((code, i) => ({ code, detail: OLD_CODES[i] }))
    )
    t.same(
      (await readColumn('audit', 'detail', 'seq')).map((value) => JSON.parse(value).code),
      OLD_CODES,
      'the audit trail is left alone'
    )
  }
)

/** Creates the tables as of the version before the named migration. */
async function migrateToVersionBefore(url: string, name: string, folder: string): Promise<void> {
  const migrationsFolder = join(folder, 'migrations')
  cpSync(ENGINE_FOLDER, migrationsFolder, { recursive: true })
  const journalPath = join(migrationsFolder, 'meta/_journal.json')
  const journal = JSON.parse(readFileSync(journalPath, 'utf8')) as { entries: { tag: string }[] }
  const end = journal.entries.findIndex(({ tag }) => tag.endsWith(`_${name}`))
  journal.entries = journal.entries.slice(0, end)
  writeFileSync(journalPath, JSON.stringify(journal))
  if (isPostgres) {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    await migratePostgres(drizzlePostgres({ client }), { migrationsFolder })
    await client.end()
  } else {
    const client = new Driver(url.replace('sqlite:///', ''))
    migrateSqlite(drizzleSqlite({ client }), { migrationsFolder })
    client.close()
  }
}
