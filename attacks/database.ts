import Driver from 'better-sqlite3'
import pg from 'pg'
import { requireMeans, type Target } from './attack.ts'

/** Runs statements on the target's database, as somebody can who has access to it and no key. */
export async function writeDatabase(
  target: Pick<Target, 'databaseUrl'>,
  statements: readonly string[]
): Promise<void> {
  const url = requireMeans(target.databaseUrl, 'the database (ATTACK_DATABASE)')
  if (url.startsWith('postgres')) {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    try {
      for (const sql of statements) await client.query(sql)
    } finally {
      await client.end()
    }
    return
  }
  const database = new Driver(url.replace('sqlite:///', ''), { timeout: 5_000 })
  try {
    for (const sql of statements) database.exec(sql)
  } finally {
    database.close()
  }
}
