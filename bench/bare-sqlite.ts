import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import Driver from 'better-sqlite3'
import { OAUTH_CLIENT } from './seed.ts'
import {
  LOGIN_LIFETIME_MS,
  LOGIN_RETENTION_MS,
  STATEMENTS,
  toProject,
  type BareDatabase,
  type BareRow
} from './bare-database.ts'

const MIGRATIONS_FOLDER = fileURLToPath(new URL('../drizzle/sqlite/migrations', import.meta.url))

/** Opens a file with the service's tables and pragmas. Each write is a transaction of its own. */
export function openBareSqlite(path: string): BareDatabase {
  const db = new Driver(path)
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')
  db.pragma('foreign_keys = ON')
  db.pragma('secure_delete = ON')
  if (db.prepare("select 1 from sqlite_master where name = 'users'").get() === undefined) {
    for (const file of globSync('*.sql', { cwd: MIGRATIONS_FOLDER }).sort()) {
      db.exec(readFileSync(`${MIGRATIONS_FOLDER}/${file}`, 'utf8'))
    }
  }
  const prepare = (sql: string) => db.prepare<unknown[], BareRow>(sql)
  const getUser = prepare(STATEMENTS.getUser)
  const getUserByKey = prepare(STATEMENTS.getUserByKey)
  const listUsers = prepare(STATEMENTS.listUsers)
  const createUser = prepare(STATEMENTS.createUser)
  const listProjects = prepare(STATEMENTS.listProjects)
  const saveProject = prepare(STATEMENTS.saveProject)
  const listChanges = prepare(STATEMENTS.listChanges)
  const sweepLogins = prepare(STATEMENTS.sweepLogins)
  const startLogin = prepare(STATEMENTS.startLogin)

  // get() stops at the first row; a write that is not stepped to its end never checkpoints the WAL.
  return {
    getUser: (id) => getUser.get(id),
    getUserByKey: (key) => getUserByKey.get(key),
    listUsers: (after, limit) => listUsers.all(after, limit),
    createUser: (email, key, name) => createUser.all(email, key, name, Date.now())[0],
    listProjects: (owner, limit, [key, id]) =>
      listProjects.all(owner, key, id, limit).map(toProject),
    saveProject: (owner, key, name) =>
      toProject(saveProject.all(owner, key, Date.now(), key, name)[0] as BareRow),
    listChanges: (owner, limit) => listChanges.all(owner, limit).map(toProject),
    startLogin(stateHash) {
      const now = Date.now()
      sweepLogins.run(now - LOGIN_RETENTION_MS)
      const { id, redirectUri } = OAUTH_CLIENT
      startLogin.run(stateHash, 'jira', id, redirectUri, now + LOGIN_LIFETIME_MS)
    },
    close: () => {
      db.close()
    }
  }
}
