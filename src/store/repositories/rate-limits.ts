import { lte, sql } from 'drizzle-orm'
import type { Engine } from '../engine.ts'

const SWEEP_EVERY_MS = 60_000

/** How often a bucket was hit in its open window, counted by every instance together on the database's clock. */
export function rates({ db, tables: { rates }, write, after }: Engine, now: () => number) {
  let sweptAt = 0

  return {
    /** Adds hits; opens a new window where the last one has closed. `leftMs`: until this one closes. */
    async add(
      bucket: string,
      hits: number,
      windowMs: number
    ): Promise<{ count: number; leftMs: number }> {
      const over = sql`${rates.until} <= ${after(0)}`
      const [row] = await write(() =>
        db
          .insert(rates)
          .values({ bucket, count: hits, until: after(windowMs) })
          .onConflictDoUpdate({
            target: rates.bucket,
            set: {
              count: sql`case when ${over} then ${hits} else ${rates.count} + ${hits} end`,
              until: sql`case when ${over} then ${after(windowMs)} else ${rates.until} end`
            }
          })
          .returning({ count: rates.count, leftMs: sql<number>`${rates.until} - ${after(0)}` })
      )
      if (now() - sweptAt >= SWEEP_EVERY_MS) {
        sweptAt = now()
        // Counted it is: who tidies up at the same time does not make the caller uncounted.
        await write(() => db.delete(rates).where(lte(rates.until, after(0)))).catch(() => {})
      }
      return { count: row?.count ?? hits, leftMs: Number(row?.leftMs ?? windowMs) }
    }
  }
}
