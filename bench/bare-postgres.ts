import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { OAUTH_CLIENT } from './seed.ts'
import {
  LOGIN_LIFETIME_MS,
  LOGIN_RETENTION_MS,
  STATEMENTS,
  toProject,
  type BareDatabase,
  type BareRow
} from './bare-database.ts'

const MIGRATIONS_FOLDER = fileURLToPath(new URL('../drizzle/postgres/migrations', import.meta.url))
/** The default of DB_POOL_SIZE. */
const POOL_SIZE = 10

/** Opens a database with the service's tables. Statements are prepared by name, once per connection. */
export async function openBarePostgres(url: string): Promise<BareDatabase> {
  const pool = new pg.Pool({
    connectionString: url,
    max: POOL_SIZE,
    types: {
      getTypeParser: (type, format) =>
        type === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(type, format)
    }
  })
  const { rows } = await pool.query("select to_regclass('users') as name")
  if (rows[0]?.name === null) {
    for (const file of globSync('*.sql', { cwd: MIGRATIONS_FOLDER }).sort()) {
      await pool.query(readFileSync(`${MIGRATIONS_FOLDER}/${file}`, 'utf8'))
    }
  }
  const texts = Object.fromEntries(
    Object.entries(STATEMENTS).map(([name, sql]) => {
      let count = 0
      return [name, sql.replaceAll('?', () => `$${++count}`)]
    })
  )
  const run = async (name: keyof typeof STATEMENTS, ...values: unknown[]): Promise<BareRow[]> =>
    (await pool.query({ name, text: texts[name] ?? '', values })).rows as BareRow[]

  return {
    getUser: async (id) => (await run('getUser', id))[0],
    getUserByKey: async (key) => (await run('getUserByKey', key))[0],
    listUsers: async (after, limit) => await run('listUsers', after, limit),
    createUser: async (email, key, name) =>
      (await run('createUser', email, key, name, Date.now()))[0],
    listProjects: async (owner, limit, [key, id]) =>
      (await run('listProjects', owner, key, id, limit)).map(toProject),
    saveProject: async (owner, key, name) =>
      toProject((await run('saveProject', owner, key, Date.now(), key, name))[0] as BareRow),
    listChanges: async (owner, limit) => (await run('listChanges', owner, limit)).map(toProject),
    async startLogin(stateHash) {
      const now = Date.now()
      await run('sweepLogins', now - LOGIN_RETENTION_MS)
      const { id, redirectUri } = OAUTH_CLIENT
      await run('startLogin', stateHash, 'jira', id, redirectUri, now + LOGIN_LIFETIME_MS)
    },
    close: async () => {
      await pool.end()
    }
  }
}
