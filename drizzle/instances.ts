import type { ColumnKit } from './sqlite/columns.ts'

/** Tables that tell the processes on one database about each other. */
export function defineInstanceTables({ table, integer, text, instant }: ColumnKit) {
  /**
   * One row per serving process, removed when it stops. It is live while its heartbeat is younger
   * than LIVE_MS (src/store/repositories/instances.ts). Times are the database's.
   */
  const instances = table('instances', {
    id: text('id').primaryKey(),
    host: text('host').notNull(),
    pid: integer('pid').notNull(),
    /** The version of the service. */
    version: text('version').notNull(),
    startedAt: instant('started_at').notNull(),
    heartbeatAt: instant('heartbeat_at').notNull(),
    /** The ids of the vault keys that it can read, in its order, separated by commas. */
    keyIds: text('key_ids').notNull(),
    /** The vault key that it encrypts with; null while it lacks the current one. */
    currentKeyId: text('current_key_id')
  })

  return { instances }
}
