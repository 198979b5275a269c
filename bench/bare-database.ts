/** A row as the bare routes serve it. */
export type BareRow = Record<string, unknown>
type MaybePromise<T> = T | Promise<T>

/** What the bare routes need of a database: one prepared statement each on SQLite. */
export interface BareDatabase {
  getUser: (id: number) => MaybePromise<BareRow | undefined>
  /** @param after the id of the last user of the previous page; 0 for the first page */
  listUsers: (after: number, limit: number) => MaybePromise<BareRow[]>
  /** @returns undefined if there is a user with this key already */
  createUser: (email: string, key: string, name: string | null) => MaybePromise<BareRow | undefined>
  getUserByKey: (key: string) => MaybePromise<BareRow | undefined>
  /** @param after key and id of the last project of the previous page */
  listProjects: (
    owner: number,
    limit: number,
    after: readonly [string, number]
  ) => MaybePromise<BareRow[]>
  saveProject: (owner: number, key: string, name: string) => MaybePromise<BareRow>
  listChanges: (owner: number, limit: number) => MaybePromise<BareRow[]>
  /** Reads who a service key belongs to. PostgreSQL only, like `findIdentity` and `readListState`. */
  findKey?: (hash: string) => Promise<void>
  /** Reads who the subject of a JWT is. */
  findIdentity?: (issuer: string, subject: string) => Promise<void>
  /** Reads the position of the change feed and how complete the list is. */
  readListState?: (owner: number) => Promise<void>
  startLogin: (stateHash: string) => MaybePromise<void>
  close: () => MaybePromise<void>
}

/** What the statements of a login insert and remove. */
export const LOGIN_LIFETIME_MS = 600_000
export const LOGIN_RETENTION_MS = 3_600_000

const USER = 'id, email, display_name'
export const PROJECT = `id, owner_id, key, name, lead, url,
  case site when '' then 'manual' else 'atlassian' end as source, nullif(site, '') as site,
  updated_at`

/** One statement for each route, with `?` for each parameter: all of SQLite's, most of PostgreSQL's. */
export const STATEMENTS = {
  getUser: `select ${USER} from users where id = ?`,
  getUserByKey: `select ${USER} from users where email_key = ?`,
  listUsers: `select ${USER} from users where id > ? order by id limit ?`,
  createUser: `insert into users (email, email_key, display_name, created_at) values (?, ?, ?, ?)
    on conflict (email_key) do nothing returning ${USER}`,
  listProjects: `select ${PROJECT} from projects
    where owner_id = ? and deleted_at is null and (key, id) > (?, ?) order by key, id limit ?`,
  saveProject: `insert into projects
      (owner_id, site, remote_id, revision, updated_at, key, name) values (?, '', ?, 1, ?, ?, ?)
    on conflict (owner_id, site, remote_id) do update set key = excluded.key,
      name = excluded.name, lead = null, url = null, deleted_at = null,
      updated_at = excluded.updated_at, revision = projects.revision + 1
    returning ${PROJECT}, revision`,
  listChanges: `select ${PROJECT}, remote_id from projects where owner_id = ? order by seq limit ?`,
  sweepLogins: 'delete from flows where expires_at < ?',
  startLogin: `insert into flows (state_hash, provider, client_id, redirect_uri, expires_at)
    values (?, ?, ?, ?, ?)`
}

/** Times are stored as milliseconds and served as text. */
export function toProject(row: BareRow): BareRow {
  row.updated_at = new Date(row.updated_at as number).toISOString()
  return row
}

/** Opens a database with the service's tables: the engine decides by the URL. */
export async function openBareDatabase(url: string): Promise<BareDatabase> {
  return url.startsWith('sqlite:')
    ? (await import('./bare-sqlite.ts')).openBareSqlite(url.replace('sqlite:///', ''))
    : await (await import('./bare-postgres.ts')).openBarePostgres(url)
}
