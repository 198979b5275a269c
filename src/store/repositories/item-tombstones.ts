import { and, eq, getTableColumns, gt, inArray, isNotNull, isNull, lt, lte, sql } from 'drizzle-orm'
import { SYNC_COLUMNS, type ItemColumn } from '../../../drizzle/items.ts'
import type { ItemTableDefinition } from '../../../drizzle/tables.ts'
import type { Engine, TransactionScript } from '../engine.ts'
import type { ChangeFeed } from './change-feed.ts'

/** Rows per query in a scan of a whole site. */
const SCAN_BATCH_SIZE = 5_000
/** Tombstones deleted in one transaction. */
const PURGE_BATCH_SIZE = 500

/** A copied row that a complete listing did not show. */
export interface UnlistedRow {
  id: number
  remoteId: string
  generation: number
}

/** Finds copies that a listing did not return, and turns them into tombstones. */
export function createTombstoneMethods(
  { db, transaction }: Engine,
  { table: t, shape }: ItemTableDefinition,
  feed: ChangeFeed,
  now: () => number
) {
  const columns = getTableColumns(t)

  return {
    /** Rows of a site that the listing `generation` did not return, in batches. */
    async *findUnlisted(
      ownerId: number,
      site: string,
      generation: number
    ): AsyncGenerator<UnlistedRow[]> {
      const ofSite = and(eq(t.ownerId, ownerId), eq(t.site, site))
      let afterId = ''
      while (true) {
        const [lastRow] = await db
          .select({ remoteId: t.remoteId })
          .from(t)
          .where(and(ofSite, gt(t.remoteId, afterId)))
          .orderBy(t.remoteId)
          .limit(1)
          .offset(SCAN_BATCH_SIZE - 1)
        yield await db
          .select({ id: t.id, remoteId: t.remoteId, generation: t.generation })
          .from(t)
          .where(
            and(
              ofSite,
              gt(t.remoteId, afterId),
              lastRow === undefined ? undefined : lte(t.remoteId, lastRow.remoteId),
              lt(t.generation, generation),
              isNull(t.deletedAt)
            )
          )
        if (lastRow === undefined) return
        afterId = lastRow.remoteId
        // Other work of the process runs between two batches.
        await new Promise(setImmediate)
      }
    },

    /** The remote id of any row that the listing returned. */
    async findAnyListed(
      ownerId: number,
      site: string,
      generation: number
    ): Promise<string | undefined> {
      const [row] = await db
        .select({ remoteId: t.remoteId })
        .from(t)
        .where(
          and(
            eq(t.ownerId, ownerId),
            eq(t.site, site),
            eq(t.generation, generation),
            isNull(t.deletedAt)
          )
        )
        .limit(1)
      return row?.remoteId
    },

    /**
     * Turns rows into tombstones without contents, unless a listing has returned them since.
     *
     * @returns the number of tombstones written
     */
    *writeTombstones(ownerId: number, rows: readonly UnlistedRow[]): TransactionScript<number> {
      let seq = yield* feed.lock(ownerId)
      let deletedCount = 0
      const emptyContents = Object.fromEntries(
        Object.keys(columns)
          .filter((name) => !(SYNC_COLUMNS as readonly string[]).includes(name))
          .map((name) => [name, getEmptyValue(shape.columns[name])])
      )
      for (const { id, generation } of rows) {
        seq++
        const deleted = yield db
          .update(t)
          .set({
            ...emptyContents,
            seq,
            deletedAt: new Date(now()),
            updatedAt: new Date(now()),
            revision: sql`${t.revision} + 1`
          })
          .where(and(eq(t.id, id), eq(t.generation, generation), isNull(t.deletedAt)))
          .returning({ id: t.id })
        deletedCount += deleted.length
      }
      if (deletedCount > 0) yield* feed.advance(ownerId, rows.length)
      return deletedCount
    },

    /**
     * Deletes one batch of tombstones older than `before`.
     *
     * @returns whether more may remain
     */
    async purge(before: Date): Promise<boolean> {
      return await transaction(function* (tx) {
        const expired = yield tx
          .select({ id: t.id, ownerId: t.ownerId, seq: t.seq })
          .from(t)
          .where(and(isNotNull(t.deletedAt), lt(t.deletedAt, before)))
          .limit(PURGE_BATCH_SIZE)
        const lastSeqByOwner = new Map<number, number>()
        for (const { owner_id: id, seq } of expired) {
          const ownerId = Number(id)
          lastSeqByOwner.set(ownerId, Math.max(lastSeqByOwner.get(ownerId) ?? 0, Number(seq)))
        }
        for (const [ownerId, seq] of lastSeqByOwner) yield feed.pruneStatement(ownerId, seq)(tx)
        if (expired.length > 0) {
          yield tx.delete(t).where(
            inArray(
              t.id,
              expired.map(({ id }) => Number(id))
            )
          )
        }
        return expired.length === PURGE_BATCH_SIZE
      })
    }
  }
}

/** The value of a column on a tombstone. */
function getEmptyValue(column: ItemColumn | undefined): string | number | Date | null {
  if (column === undefined || column.isNullable === true) return null
  if (column.kind === 'instant') return new Date(0)
  return column.kind === 'integer' ? 0 : ''
}
