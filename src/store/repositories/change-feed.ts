import { eq, gt, and, sql } from 'drizzle-orm'
import type { Engine, Steps, WithStatement } from '../engine.ts'

/** Where an owner's feed is. */
export interface FeedState {
  /** The number of the latest change. */
  seq: number
  /** The number of the latest change that can no longer be told: who has not read it has to begin again. */
  forgotten: number
}

/**
 * The numbers of an owner's changes. They are handed out inside the transaction that makes the change, from a row that it holds
 * until the end, so that whoever has read up to a number has seen every change below it.
 */
export function feed({ db, tables: { feeds }, prepare }: Engine) {
  const owner = sql.placeholder('owner') as never
  const advance = prepare(
    db
      .insert(feeds)
      .values({ ownerId: owner, seq: sql.placeholder('count') as never, forgotten: 0 })
      .onConflictDoUpdate({
        target: feeds.ownerId,
        set: { seq: sql`${feeds.seq} + excluded.${sql.identifier(feeds.seq.name)}` }
      })
      .returning({ seq: feeds.seq })
  )
  const look = prepare(
    db
      .select({ seq: feeds.seq, forgotten: feeds.forgotten })
      .from(feeds)
      .where(eq(feeds.ownerId, owner))
  )

  return {
    /** Holds the feed for the rest of the transaction. @returns the number of the latest change */
    *holding(ownerId: number): Steps<number> {
      const [row] = yield advance.bind({ owner: ownerId, count: 0 })
      return Number(row?.seq)
    },

    /** Says that so many numbers behind that one have been given to changes. */
    *advancing(ownerId: number, count: number): Steps<void> {
      yield advance.bind({ owner: ownerId, count })
    },

    async state(ownerId: number): Promise<FeedState> {
      const [row] = await look({ owner: ownerId })
      return { seq: Number(row?.seq ?? 0), forgotten: Number(row?.forgotten ?? 0) }
    },

    /** Makes every follower begin again: what was erased is not told piece by piece, because nothing of it is kept. */
    restarting:
      (ownerId: number): WithStatement =>
      (tx) =>
        tx
          .insert(feeds)
          .values({ ownerId, seq: 1, forgotten: 1 })
          .onConflictDoUpdate({
            target: feeds.ownerId,
            set: { seq: sql`${feeds.seq} + 1`, forgotten: sql`${feeds.seq} + 1` }
          }),

    /** Changes up to this number are no longer told. */
    forgetting:
      (ownerId: number, seq: number): WithStatement =>
      (tx) =>
        tx
          .update(feeds)
          .set({ forgotten: seq })
          .where(and(eq(feeds.ownerId, ownerId), gt(sql`${seq}`, feeds.forgotten)))
  }
}

export type Feed = ReturnType<typeof feed>
