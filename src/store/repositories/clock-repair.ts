import { and, eq, gt, sql } from 'drizzle-orm'
import type { Engine } from '../engine.ts'
import { selectPlannedColumns, type PlannedConnectionRow } from './connection-plans.ts'

const HOUR_MS = 3_600_000
/**
 * The longest wait that Atlassian asks for, until its quota of an hour is renewed, with a reserve.
 * Later times were written before a clock was set back.
 */
const MAX_WAIT_MS = HOUR_MS + 5 * 60_000
/** Leases last some seconds, on the database's clock. */
const MAX_LEASE_MS = 60_000
/** A grant that nobody uses is refreshed after at most 75 days (src/grants/refresh-policy.ts). */
const MAX_KEEP_ALIVE_MS = 76 * 24 * HOUR_MS
const BATCH_SIZE = 200

/** Finds times that lie too far in the future, because a clock was ahead when they were written. */
export function createClockRepair({
  db,
  tables: { connections, grants, runs, budgets, rates },
  batch,
  nowPlus
}: Engine) {
  return {
    /** The database's clock, in ms since the epoch. */
    async readClock(): Promise<number> {
      const [row] = await db
        .select({ at: sql<number | string>`${nowPlus(0)}`.as('at') })
        .from(sql`(select 1) as one`)
      return Number(row?.at)
    },

    /**
     * Pulls in the waits and leases that no valid clock could have written: parked runs, retries of
     * grants, blocks and counts of rate limits.
     *
     * @param now this machine's clock, in ms since the epoch
     */
    async pullInWaits(now: number): Promise<void> {
      const at = new Date(now)
      const latestWait = new Date(now + MAX_WAIT_MS)
      const hour = Math.floor(now / HOUR_MS)
      await batch((tx) => [
        tx
          .update(runs)
          .set({ parkedUntil: at })
          .where(and(eq(runs.state, 'parked'), gt(runs.parkedUntil, latestWait))),
        tx
          .update(runs)
          .set({ leaseUntil: nowPlus(0) })
          .where(gt(runs.leaseUntil, nowPlus(MAX_LEASE_MS))),
        tx.update(grants).set({ nextTryAt: at, dueAt: at }).where(gt(grants.nextTryAt, latestWait)),
        tx
          .update(grants)
          .set({ dueAt: at })
          .where(gt(grants.dueAt, new Date(now + MAX_KEEP_ALIVE_MS))),
        tx
          .update(budgets)
          .set({ until: nowPlus(0) })
          .where(gt(budgets.until, nowPlus(MAX_WAIT_MS))),
        // Points of an hour that is over count for nothing; an hour to come would fill up until then.
        tx.update(budgets).set({ hour, pointsUsed: 0 }).where(gt(budgets.hour, hour)),
        tx.delete(rates).where(gt(rates.until, nowPlus(MAX_WAIT_MS)))
      ])
    },

    /** Connections whose sync is due after a time, in pages by id. */
    async listDueAfter(
      at: Date,
      afterId: number
    ): Promise<Array<PlannedConnectionRow & { id: number; dueAt: Date }>> {
      const rows = await db
        .select({
          ...selectPlannedColumns({ connections, grants }),
          id: connections.id,
          dueAt: connections.syncDueAt
        })
        .from(connections)
        .innerJoin(grants, eq(connections.grantId, grants.id))
        .where(and(gt(connections.syncDueAt, at), gt(connections.id, afterId)))
        .orderBy(sql`${connections.id}`)
        .limit(BATCH_SIZE)
      return rows.map(({ dueAt, ...row }) => ({ ...row, dueAt: dueAt as Date }))
    }
  }
}
