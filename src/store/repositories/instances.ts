import { and, asc, eq, gt, lte, ne, sql, type SQL } from 'drizzle-orm'
import type { Engine, Statement } from '../engine.ts'

/** An instance whose heartbeat is older than this is not live. A live one writes far more often. */
export const LIVE_MS = 20_000
/** Rows of instances that have died are kept this long, to look at. */
const RETENTION_MS = 24 * 3_600_000

/** A process that serves from this database. */
export interface Instance {
  id: string
  host: string
  pid: number
  version: string
  /** The ids of the vault keys that it can read, in its order. */
  keyIds: string[]
  /** The vault key that it encrypts with; null while it lacks the current one. */
  currentKeyId: string | null
}

/** An instance as stored; times are the database's. */
export interface LiveInstance extends Instance {
  startedAt: Date
  heartbeatAt: Date
}

/** The instances on this database, by their heartbeats. */
export function createInstanceRepository({
  db,
  tables: { instances },
  write,
  nowPlus
}: Pick<Engine, 'db' | 'tables' | 'write' | 'nowPlus'>) {
  const list = sql`',' || ${instances.keyIds} || ','`
  const hasKey = (keyId: string): SQL => sql`(replace(${list}, ${`,${keyId},`}, '') <> ${list})`
  const isLive = (): SQL => gt(instances.heartbeatAt, nowPlus(-LIVE_MS))

  return {
    /** Writes the heartbeat of an instance, and its row if there is none. */
    async beat({ keyIds, ...instance }: Instance): Promise<void> {
      const row = { ...instance, keyIds: keyIds.join(','), heartbeatAt: nowPlus(0) }
      await write(() =>
        db
          .insert(instances)
          .values({ ...row, startedAt: nowPlus(0) })
          .onConflictDoUpdate({ target: instances.id, set: row })
      )
    },

    /** Removes the row of an instance that stops. */
    async remove(id: string): Promise<void> {
      await write(() => db.delete(instances).where(eq(instances.id, id)))
    },

    /** Removes every row: those in a restored database are of instances that have stopped. */
    removeAllStatement: (): Statement => db.delete(instances),

    /** Removes the rows of instances that died long ago. */
    async purge(): Promise<void> {
      await write(() =>
        db.delete(instances).where(lte(instances.heartbeatAt, nowPlus(-RETENTION_MS)))
      )
    },

    /** The live instances, without `exceptId`. */
    async listLive(exceptId = ''): Promise<LiveInstance[]> {
      const rows = await db
        .select()
        .from(instances)
        .where(and(isLive(), ne(instances.id, exceptId)))
        .orderBy(asc(instances.startedAt), asc(instances.id))
      return rows.map((row) => ({ ...row, keyIds: splitKeyIds(row.keyIds) }))
    },

    /** A condition: no live instance lacks this vault key. */
    isReadableByAll: (keyId: string): SQL =>
      sql`not exists (select 1 from ${instances} where ${isLive()} and not ${hasKey(keyId)})`,

    /** A condition: no live instance has this vault key. */
    isReadableByNone: (keyId: string): SQL =>
      sql`not exists (select 1 from ${instances} where ${isLive()} and ${hasKey(keyId)})`,

    /** A condition: every live instance has this vault key in the first place of its settings. */
    isFirstOfAll: (keyId: string): SQL => {
      const prefix = `${keyId},`
      const start = sql`substr(${instances.keyIds} || ',', 1, ${sql.raw(String(prefix.length))})`
      return sql`not exists (select 1 from ${instances} where ${isLive()} and ${start} <> ${prefix})`
    }
  }
}

const splitKeyIds = (text: string) => text.split(',').filter(Boolean)

export type InstanceRepository = ReturnType<typeof createInstanceRepository>
