import { eq, gt, and, sql } from 'drizzle-orm'
import type { Engine, TransactionScript, StatementBuilder } from '../engine.ts'

/** Where an owner's feed is. */
export interface ChangeFeedState {
  /** The number of the latest change. */
  seq: number
  /** The number of the latest change that can no longer be told: who has not read it has to begin again. */
  prunedSeq: number
}

/**
 * The numbers of an owner's changes. They are handed out inside the transaction that makes the change, from a row that it holds
 * until the end, so that whoever has read up to a number has seen every change below it.
 */
export function createChangeFeed({ db, tables: { feeds }, prepare }: Engine) {
  const ownerPlaceholder = sql.placeholder('owner') as never
  const advanceSeq = prepare(
    db
      .insert(feeds)
      .values({ ownerId: ownerPlaceholder, seq: sql.placeholder('count') as never, prunedSeq: 0 })
      .onConflictDoUpdate({
        target: feeds.ownerId,
        set: { seq: sql`${feeds.seq} + excluded.${sql.identifier(feeds.seq.name)}` }
      })
      .returning({ seq: feeds.seq })
  )
  const selectState = prepare(
    db
      .select({ seq: feeds.seq, prunedSeq: feeds.prunedSeq })
      .from(feeds)
      .where(eq(feeds.ownerId, ownerPlaceholder))
  )

  return {
    /** Holds the feed for the rest of the transaction. @returns the number of the latest change */
    *lock(ownerId: number): TransactionScript<number> {
      const [row] = yield advanceSeq.bind({ owner: ownerId, count: 0 })
      return Number(row?.seq)
    },

    /** Says that so many numbers behind that one have been given to changes. */
    *advance(ownerId: number, count: number): TransactionScript<void> {
      yield advanceSeq.bind({ owner: ownerId, count })
    },

    async getState(ownerId: number): Promise<ChangeFeedState> {
      const [row] = await selectState({ owner: ownerId })
      return { seq: Number(row?.seq ?? 0), prunedSeq: Number(row?.forgotten ?? 0) }
    },

    /** Makes every follower begin again: what was erased is not told piece by piece, because nothing of it is kept. */
    resetStatement:
      (ownerId: number): StatementBuilder =>
      (tx) =>
        tx
          .insert(feeds)
          .values({ ownerId, seq: 1, prunedSeq: 1 })
          .onConflictDoUpdate({
            target: feeds.ownerId,
            set: { seq: sql`${feeds.seq} + 1`, prunedSeq: sql`${feeds.seq} + 1` }
          }),

    /** Changes up to this number are no longer told. */
    pruneStatement:
      (ownerId: number, seq: number): StatementBuilder =>
      (tx) =>
        tx
          .update(feeds)
          .set({ prunedSeq: seq })
          .where(and(eq(feeds.ownerId, ownerId), gt(sql`${seq}`, feeds.prunedSeq)))
  }
}

export type ChangeFeed = ReturnType<typeof createChangeFeed>
