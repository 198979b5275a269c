import { sql, type SQL } from 'drizzle-orm'

/** The state of a connection, from its grant's and its own, as src/model/states.ts combines them. */
export function combineStatesInSql(grant: SQL, own: SQL): SQL {
  return sql`case when ${grant} in ('needs_reconnect', 'misconfigured') then ${grant}
      when ${own} = 'needs_site' then ${own}
      when ${grant} = 'degraded' then ${grant}
      else ${own} end`
}
