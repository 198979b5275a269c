import { randomUUID } from 'node:crypto'
import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { OAUTH_CLIENT } from './seed.ts'
import { LOGIN_LIFETIME_MS, toProject, type BareDatabase, type BareRow } from './bare-database.ts'
import { POSTGRES_STATEMENTS } from './bare-postgres-statements.ts'

const MIGRATIONS_FOLDER = fileURLToPath(new URL('../drizzle/postgres/migrations', import.meta.url))
/** The default of DB_POOL_SIZE. */
const POOL_SIZE = 10
/** As long as the service's signature of an audit row, which the bare subject does not compute. */
const SIGNATURE = 'x'.repeat(54)

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
    // The first row of the audit trail does not have to create it.
    await pool.query(
      "insert into audit_head (id, seq, hash, cut_seq, cut_hash) values (1, 0, '', 0, '')"
    )
  }

  const run = async (
    name: keyof typeof POSTGRES_STATEMENTS,
    values: unknown[],
    client: pg.Pool | pg.PoolClient = pool
  ): Promise<BareRow[]> =>
    (await client.query({ name, text: POSTGRES_STATEMENTS[name], values })).rows as BareRow[]

  async function transact<T>(
    begin: string,
    work: (client: pg.PoolClient) => Promise<T>
  ): Promise<T> {
    const client = await pool.connect()
    try {
      await client.query(begin)
      const result = await work(client)
      await client.query('commit')
      return result
    } catch (error) {
      await client.query('rollback')
      throw error
    } finally {
      client.release()
    }
  }

  return {
    getUser: async (id) => (await run('getUser', [id]))[0],
    getUserByKey: async (key) => (await run('getUserByKey', [key]))[0],
    listUsers: async (after, limit) => await run('listUsers', [after, limit]),
    async createUser(email, key, name) {
      if ((await run('getUserByKey', [key])).length > 0) return undefined
      return await transact(
        'begin isolation level repeatable read; lock table audit_head in exclusive mode',
        async (client) => {
          const [head] = await run('readHead', [], client)
          const [user] = await run('createUser', [email, key, name, Date.now()], client)
          if (user === undefined) return undefined
          await run('insertAudit', toAuditRow(Number(head?.seq) + 1, user.id), client)
          const ends = [Number(head?.seq) + 1, SIGNATURE, head?.cut_seq, head?.cut_hash, SIGNATURE]
          await run('updateHead', ends, client)
          return user
        }
      )
    },
    listProjects: async (owner, limit, [key, id]) =>
      (await run('listProjects', [owner, key, id, limit])).map(toProject),
    saveProject: async (owner, key, name) =>
      await transact('begin isolation level read committed', async (client) => {
        const [feed] = await run('advanceFeed', [owner], client)
        const values = [Date.now(), feed?.seq, key, name, owner]
        const [updated] = await run('updateProject', values, client)
        if (updated !== undefined) return toProject({ ...updated, revision: 2 })
        const [inserted = {}] = await run('insertProject', values, client)
        return toProject({ ...inserted, revision: 1 })
      }),
    listChanges: async (owner, limit) => (await run('listChanges', [owner, limit])).map(toProject),
    async findKey(hash) {
      await run('findKey', [hash])
    },
    async findIdentity(issuer, subject) {
      await run('findIdentity', [issuer, subject])
    },
    async readListState(owner) {
      await run('readFeed', ['feed_epoch', owner])
      await run('readCompleteness', [`${owner}/jira`, 'projects', owner, 'jira'])
    },
    async startLogin(stateHash) {
      const { id, redirectUri, scopes } = OAUTH_CLIENT
      await run('findSharedGrant', [id, 'jira'])
      const expiresAt = Date.now() + LOGIN_LIFETIME_MS
      const flow = [
        stateHash,
        'jira',
        id,
        redirectUri,
        null,
        null,
        scopes,
        0,
        null,
        null,
        stateHash
      ]
      await run('startLogin', [...flow, '', expiresAt])
    },
    close: async () => {
      await pool.end()
    }
  }
}

/** The values of an audit row about a created user. */
function toAuditRow(seq: number, userId: unknown): unknown[] {
  const actor = ['anonymous', null, null]
  const context = [userId, null, null, '127.0.0.1', randomUUID(), null]
  return [seq, Date.now(), ...actor, 'user_created', ...context, SIGNATURE]
}
