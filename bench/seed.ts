import Driver from 'better-sqlite3'
import pg from 'pg'

/** The rows of every subject before the first request: plain SQL that both engines understand. */

/** Owner 1 has a list that fits one response; owner 2 has one that is streamed or paged. */
const PROJECT_COUNTS = [1_000, 10_000]
const PAGE_COUNT = 10_000
const SEEDED_AT_MS = Date.UTC(2026, 10, 23)

/** The Jira app that logins use. */
export const OAUTH_CLIENT = {
  id: 'benchmark-client',
  secret: 'benchmark-client-secret',
  redirectUri: 'https://connector.example.com/auth/jira/callback',
  scopes: 'read:jira-work read:jira-user read:me offline_access',
  authorizeUrl: 'https://auth.atlassian.com/authorize'
}

/**
 * Fills a migrated database, unless it has users already.
 *
 * @param url `sqlite:///<file>` or `postgres://…`
 */
export async function seedDatabase(url: string, userCount: number): Promise<void> {
  const statements = buildSeedStatements(userCount)
  if (url.startsWith('sqlite:')) {
    const db = new Driver(url.replace('sqlite:///', ''))
    const hasUsers = db.prepare('select 1 from users limit 1').get() !== undefined
    if (!hasUsers) db.transaction(() => statements.forEach((sql) => db.exec(sql)))()
    db.close()
    return
  }
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query('select 1 from users limit 1')
  if (rows.length === 0) {
    for (const sql of statements) await client.query(sql)
    // Autovacuum does this within a minute after a first copy.
    await client.query('vacuum analyze')
  }
  await client.end()
}

/** Runs one statement without parameters on a database that a service has open. */
export async function executeSql(url: string, sql: string): Promise<void> {
  if (url.startsWith('sqlite:')) {
    const db = new Driver(url.replace('sqlite:///', ''))
    db.exec(sql)
    db.close()
    return
  }
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(sql)
  await client.end()
}

function buildSeedStatements(userCount: number): string[] {
  const numbers = (count: number) =>
    'with recursive n(i) as (select cast(1 as bigint) union all ' +
    `select i + 1 from n where i < ${count})`
  return [
    `insert into users (email, email_key, display_name, created_at) ${numbers(userCount)}
     select 'user-' || i || '@example.com', 'user-' || i || '@example.com', 'User ' || i,
       ${SEEDED_AT_MS} from n order by i`,
    // Every third project has no lead.
    ...PROJECT_COUNTS.map(
      (count, owner) =>
        `insert into projects
           (owner_id, site, remote_id, url, revision, updated_at, seq, pass, key, name, lead)
         ${numbers(count)}
         select ${owner + 1}, 'site', cast(10000 + i as text),
           'https://acme.atlassian.net/browse/P' || i, 1, ${SEEDED_AT_MS}, i, 1,
           'P' || substr(cast(100000 + i as text), 2), 'Project ' || i,
           case i % 3 when 0 then null else 'Dana Fox' end
         from n order by i`
    ),
    `insert into pages
       (owner_id, site, remote_id, url, revision, updated_at, seq, pass,
        space_key, page_id, title, status)
     ${numbers(PAGE_COUNT)}
     select 1, 'site', cast(i as text),
       'https://acme.atlassian.net/wiki/spaces/SP' || (i % 10) || '/pages/' || i, 1,
       ${SEEDED_AT_MS}, ${PROJECT_COUNTS[0]} + i, 1, 'SP' || (i % 10), cast(i as text),
       'Page ' || ((i * 7919) % 1000003) || ' of the handbook', 'current'
     from n order by i`,
    `insert into feeds (owner_id, seq, forgotten)
     values (1, ${(PROJECT_COUNTS[0] ?? 0) + PAGE_COUNT}, 0), (2, ${PROJECT_COUNTS[1]}, 0)`
  ]
}
