import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import Driver from 'better-sqlite3'
import { projects, users } from './seed.ts'

const MIGRATIONS_FOLDER = fileURLToPath(new URL('../drizzle/sqlite/migrations', import.meta.url))

/**
 * Opens a database with the service's tables, pragmas and rows, and prepares the statements of the
 * bare routes.
 */
export function openBareDatabase(path: string) {
  const db = new Driver(path)
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')
  db.pragma('foreign_keys = ON')
  db.pragma('secure_delete = ON')
  for (const file of globSync('*.sql', { cwd: MIGRATIONS_FOLDER }).sort()) {
    db.exec(readFileSync(`${MIGRATIONS_FOLDER}/${file}`, 'utf8'))
  }

  const insertUser = db.prepare(
    `insert into users (email, email_key, display_name, created_at) values (?, ?, ?, ?)
     on conflict (email_key) do nothing returning id, email, display_name`
  )
  const insertProject = db.prepare(
    `insert into projects (owner_id, site, remote_id, url, revision, updated_at, key, name, lead)
     values (1, 'site', ?, ?, 1, ?, ?, ?, ?)`
  )
  db.transaction(() => {
    for (const { email, displayName } of users) {
      insertUser.all(email, email, displayName, Date.now())
    }
    for (const { remoteId, url, key, name, lead } of projects) {
      insertProject.run(remoteId, url, Date.now(), key, name, lead)
    }
  })()

  const selectProjects = db.prepare(
    `select id, owner_id, key, name, lead, url,
       case site when '' then 'manual' else 'atlassian' end as source, nullif(site, '') as site,
       updated_at from projects
     where owner_id = ? order by key, id limit ?`
  )
  return {
    insertUser,
    user: db.prepare('select id, email, display_name from users where id = ?'),
    userByKey: db.prepare('select id, email, display_name from users where email_key = ?'),
    listProjects: (owner: number, limit: number) =>
      (selectProjects.all(owner, limit) as Array<{ updated_at: number }>).map((row) => ({
        ...row,
        updated_at: new Date(row.updated_at).toISOString()
      })),
    sweepFlows: db.prepare('delete from flows where expires_at < ?'),
    insertFlow: db.prepare(
      'insert into flows (state_hash, provider, client_id, redirect_uri, expires_at) values (?, ?, ?, ?, ?)'
    )
  }
}
