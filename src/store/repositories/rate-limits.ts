import { lte, sql } from 'drizzle-orm'
import type { Engine } from '../engine.ts'

const SWEEP_INTERVAL_MS = 60_000

/** How often a bucket was hit in its open window, counted by every instance together on the database's clock. */
export function createRateLimitRepository(
  { db, tables: { rates }, write, nowPlus }: Engine,
  now: () => number
) {
  let sweptAt = 0

  return {
    /** Adds hits; opens a new window where the last one has closed. `remainingMs`: until this one closes. */
    async add(
      bucket: string,
      hits: number,
      windowMs: number
    ): Promise<{ count: number; remainingMs: number }> {
      const isExpired = sql`${rates.until} <= ${nowPlus(0)}`
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
      if (now() - sweptAt >= SWEEP_INTERVAL_MS) {
        sweptAt = now()
        // Counted it is: who tidies up at the same time does not make the caller uncounted.
        await write(() => db.delete(rates).where(lte(rates.until, nowPlus(0)))).catch(() => {})
      }
      return { count: row?.count ?? hits, remainingMs: Number(row?.remainingMs ?? windowMs) }
    }
  }
}
