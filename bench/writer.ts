import Driver from 'better-sqlite3'

/** A row to insert. */
export type Insert = [email: string, name: string, createdAt: number]

/**
 * Opens a database like the service's, with one table like its `users`.
 *
 * @returns stores all rows with one commit; their ids
 */
export function openWriter(path: string): (batch: readonly Insert[]) => number[] {
  const client = new Driver(path)
  client.pragma('journal_mode = wal')
  client.pragma('synchronous = full')
  client.exec(
    'create table if not exists people ' +
      '(id integer primary key, email text unique, name text, created_at integer)'
  )
  const insert = client.prepare<Insert>(
    'insert into people (email, name, created_at) values (?, ?, ?)'
  )
  return client.transaction((batch: readonly Insert[]) =>
    batch.map((row) => Number(insert.run(...row).lastInsertRowid))
  ).immediate
}
