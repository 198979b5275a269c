import { eq, gt, and, sql } from 'drizzle-orm'
import type { Engine, TransactionScript, StatementBuilder } from '../engine.ts'
import { FEED_EPOCH } from './service-state.ts'

/** The position of an owner's change feed. */
export interface ChangeFeedState {
  /** The sequence number of the latest change. */
  seq: number
  /** The latest sequence number that the feed no longer serves. Readers behind it start over. */
  prunedSeq: number
  /** A restored database starts a new epoch: cursors of another epoch have expired. */
  epoch: number
}

/**
 * Assigns the sequence numbers of an owner's changes. The transaction that makes a change locks
 * the owner's row until it commits, so a reader that has seen a number has seen every lower one.
 */
export function createChangeFeed({ db, tables: { feeds, serviceState, users }, prepare }: Engine) {
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
      .select({ seq: feeds.seq, prunedSeq: feeds.prunedSeq, epoch: serviceState.value })
      .from(users)
      .leftJoin(feeds, eq(feeds.ownerId, users.id))
      .leftJoin(serviceState, eq(serviceState.name, FEED_EPOCH))
      .where(eq(users.id, ownerPlaceholder))
  )

  /**
   * Records that the next `count` sequence numbers are in use, and locks the feed for the rest of
   * the transaction.
   *
   * @returns the last of them
   */
  function* advance(ownerId: number, count: number): TransactionScript<number> {
    const [row] = yield advanceSeq.bind({ owner: ownerId, count })
    return Number(row?.seq)
  }

  return {
    /**
     * Locks the feed for the rest of the transaction, by an update that adds 0.
     *
     * @returns the sequence number of the latest change
     */
    *lock(ownerId: number): TransactionScript<number> {
      return yield* advance(ownerId, 0)
    },

    advance,

    async getState(ownerId: number): Promise<ChangeFeedState> {
      const [row] = await selectState({ owner: ownerId })
      return {
        seq: Number(row?.seq ?? 0),
        prunedSeq: Number(row?.[feeds.prunedSeq.name] ?? 0),
        epoch: Number(row?.[serviceState.value.name] ?? 0)
      }
    },

    /**
     * Makes every reader start over. The feed cannot list erased items one by one, because no
     * trace of them remains.
     */
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

    /** Makes the feed stop serving changes up to and including `seq`. */
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
