import { lte, sql } from 'drizzle-orm'
import type { Engine, PreparedStatement } from '../engine.ts'

const SWEEP_INTERVAL_MS = 60_000

/** Hits per bucket in its current window, counted by all instances on the database's clock. */
export function createRateLimitRepository(
  { db, tables: { rates }, write, writePrepared, nowPlus, prepare }: Engine,
  now: () => number
) {
  let sweptAt = 0
  const [bucketValue, hitsValue] = [sql.placeholder('bucket'), sql.placeholder('hits')]

  function prepareAdd(windowMs: number): PreparedStatement {
    // Or it ends later than a window lasts: the clock was set back since.
    const isExpired = sql`(${rates.until} <= ${nowPlus(0)} or ${rates.until} > ${nowPlus(windowMs)})`
    return prepare(
      db
        .insert(rates)
        .values({ bucket: sql`${bucketValue}`, count: sql`${hitsValue}`, until: nowPlus(windowMs) })
        .onConflictDoUpdate({
          target: rates.bucket,
          set: {
            count: sql`excluded.count + case when ${isExpired} then 0 else ${rates.count} end`,
            until: sql`case when ${isExpired} then ${nowPlus(windowMs)} else ${rates.until} end`
          }
        })
        .returning({
          count: rates.count,
          remainingMs: sql<number>`${rates.until} - ${nowPlus(0)}`.as('remaining_ms')
        })
    )
  }
  /** By the length of the window, of which the settings have a few. */
  const addByWindow = new Map<number, PreparedStatement>()

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
      const statement = addByWindow.get(windowMs) ?? prepareAdd(windowMs)
      addByWindow.set(windowMs, statement)
      const [row] = await writePrepared(statement.bind({ bucket, hits }))
      if (Math.abs(now() - sweptAt) >= SWEEP_INTERVAL_MS) {
        sweptAt = now()
        // The hit is counted already, so a failed clean-up is ignored.
        await write(() => db.delete(rates).where(lte(rates.until, nowPlus(0)))).catch(() => {})
      }
      return {
        count: Number(row?.count ?? hits),
        remainingMs: Number(row?.remaining_ms ?? windowMs)
      }
    }
  }
}
