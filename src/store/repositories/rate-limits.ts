import { lte, sql } from 'drizzle-orm'
import type { Engine } from '../engine.ts'

const SWEEP_INTERVAL_MS = 60_000

/** Hits per bucket in its current window, counted by all instances on the database's clock. */
export function createRateLimitRepository(
  { db, tables: { rates }, write, nowPlus }: Engine,
  now: () => number
) {
  let sweptAt = 0

  return {
    /**
     * Adds hits, opening a new window if the last one has closed. `remainingMs` is the time
     * until this window closes.
     */
    async add(
      bucket: string,
      hits: number,
      windowMs: number
    ): Promise<{ count: number; remainingMs: number }> {
      // Or it ends later than a window lasts: the clock was set back since.
      const isExpired = sql`(${rates.until} <= ${nowPlus(0)} or ${rates.until} > ${nowPlus(windowMs)})`
      const [row] = await write(() =>
        db
          .insert(rates)
          .values({ bucket, count: hits, until: nowPlus(windowMs) })
          .onConflictDoUpdate({
            target: rates.bucket,
            set: {
              count: sql`case when ${isExpired} then ${hits} else ${rates.count} + ${hits} end`,
              until: sql`case when ${isExpired} then ${nowPlus(windowMs)} else ${rates.until} end`
            }
          })
          .returning({
            count: rates.count,
            remainingMs: sql<number>`${rates.until} - ${nowPlus(0)}`
          })
      )
      if (Math.abs(now() - sweptAt) >= SWEEP_INTERVAL_MS) {
        sweptAt = now()
        // The hit is counted already, so a failed clean-up is ignored.
        await write(() => db.delete(rates).where(lte(rates.until, nowPlus(0)))).catch(() => {})
      }
      return { count: row?.count ?? hits, remainingMs: Number(row?.remainingMs ?? windowMs) }
    }
  }
}
