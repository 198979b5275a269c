import {
  and,
  eq,
  getTableColumns,
  gt,
  inArray,
  isNotNull,
  isNull,
  lt,
  lte,
  ne,
  or,
  sql,
  type SQL
} from 'drizzle-orm'
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core'
import { SYNC_COLUMNS, type ItemColumn } from '../../../drizzle/items.ts'
import type { ItemTableDefinition } from '../../../drizzle/tables.ts'
import {
  rowPlaceholder,
  type Engine,
  type PreparedStatement,
  type TransactionScript,
  type BindValue,
  type StatementBuilder
} from '../engine.ts'
import type { ChangeFeed } from './change-feed.ts'
import type { ChangeCounts, RemoteItem } from '../../model/items.ts'

/** Number of page sizes whose prepared statements stay in the cache. */
const MAX_PREPARED_SIZES = 4
/** Rows per query in a scan of a whole site. */
const SCAN_BATCH_SIZE = 5_000

/** A copied row that a complete listing did not show. */
export interface UnlistedRow {
  id: number
  remoteId: string
  generation: number
}

/**
 * Writes the copies of one collection. The key of a row is owner, site and remote id, so an item
 * whose key or title changes upstream is updated, not duplicated.
 */
export function createItemSync(
  engine: Engine,
  { table: t, shape }: ItemTableDefinition,
  feed: ChangeFeed,
  now: () => number
) {
  const { db, prepare, transaction } = engine
  const columns: Record<string, SQLiteColumn> = getTableColumns(t)
  const contentColumns = Object.entries(columns).filter(
    ([name]) => !(SYNC_COLUMNS as readonly string[]).includes(name)
  )
  const excludedColumn = (name: string) => sql.raw(`excluded."${name}"`)
  const newContents = Object.fromEntries(
    contentColumns.map(([name, column]) => [name, excludedColumn(column.name)])
  )
  const hasChanges = or(
    isNotNull(t.deletedAt),
    ...contentColumns.map(
      ([, column]) => sql`${column} is distinct from ${excludedColumn(column.name)}`
    )
  ) as SQL
  // A version older than the stored one changes nothing, so incremental windows may overlap.
  const newRemoteUpdatedAt = excludedColumn(t.remoteUpdatedAt.name)
  const isNotOlder = sql`(${t.remoteUpdatedAt} is null or ${newRemoteUpdatedAt} is null
    or ${newRemoteUpdatedAt} >= ${t.remoteUpdatedAt})`
  const newGeneration = excludedColumn(t.generation.name)
  const updateValues = {
    ...newContents,
    revision: sql`case when ${t.deletedAt} is null then ${t.revision} + 1 else 1 end`,
    updatedAt: excludedColumn(t.updatedAt.name),
    seq: excludedColumn(t.seq.name),
    generation: sql`case when ${t.generation} > ${newGeneration} then ${t.generation}
      else ${newGeneration} end`,
    deletedAt: null
  }
  const insertedNames = Object.keys(columns).filter((name) => name !== 'id')
  const emptyRow = { ...Object.fromEntries(insertedNames.map((name) => [name, null])), revision: 1 }
  const placeholder = (name: string) => sql.placeholder(name) as never

  const upsertRows = cacheBySize((size) => {
    const rows = Array.from({ length: size }, (_, i) =>
      Object.fromEntries(
        insertedNames.map((name) => [name, sql.placeholder(rowPlaceholder(i, name))])
      )
    )
    return prepare(
      db
        .insert(t)
        .values(rows as unknown as Array<typeof t.$inferInsert>)
        .onConflictDoUpdate({
          target: [t.ownerId, t.site, t.remoteId],
          set: updateValues,
          setWhere: sql`${hasChanges} and ${isNotOlder}`
        })
        .returning({ revision: t.revision })
    )
  })
  const matchesIds = (size: number) =>
    and(
      eq(t.ownerId, placeholder('owner')),
      eq(t.site, placeholder('site')),
      inArray(
        t.remoteId,
        Array.from({ length: size }, (_, i) => placeholder(`id ${i}`))
      )
    )
  const markListed = cacheBySize((size) =>
    prepare(
      db
        .update(t)
        .set({ generation: sql`${placeholder('generation')}` })
        .where(and(matchesIds(size), lt(t.generation, placeholder('generation'))))
    )
  )
  const shortColumns = Object.fromEntries(
    Object.entries(columns).filter(([name]) => shape.columns[name]?.isLong !== true)
  )
  const selectByIds = cacheBySize((size) =>
    prepare(
      db
        .select(shortColumns)
        .from(t)
        .where(and(matchesIds(size), isNull(t.deletedAt)))
    )
  )
  const idParams = (list: readonly string[]) =>
    Object.fromEntries(list.map((id, i) => [`id ${i}`, id]))

  return {
    /**
     * Saves one upstream page. Skips rows whose stored contents are equal or newer; `changed`
     * counts only rows that were written. If an item appears twice in a page, the later one
     * counts. A deleted item that appears again is restored.
     *
     * @param generation the full listing that returned the page
     */
    *upsertPage(
      ownerId: number,
      site: string,
      items: ReadonlyArray<RemoteItem>,
      generation: number
    ): TransactionScript<ChangeCounts> {
      const distinct = new Map(
        items.map(({ remoteId, item }) => [remoteId, item as Record<string, BindValue>])
      )
      if (distinct.size === 0) return { added: 0, changed: 0, unchanged: 0 }
      const lastSeq = yield* feed.lock(ownerId)
      const updatedAt = new Date(now())
      let seq = lastSeq
      const rows = Array.from(distinct, ([remoteId, item]) => ({
        ...emptyRow,
        ...item,
        ownerId,
        site,
        remoteId,
        updatedAt,
        seq: ++seq,
        generation
      }))
      const changedRows = yield upsertRows(rows.length).bindRows(rows)
      if (changedRows.length > 0) yield* feed.advance(ownerId, distinct.size)
      const added = changedRows.filter(({ revision }) => revision === 1).length
      if (changedRows.length < distinct.size) {
        yield markListed(distinct.size).bind({
          owner: ownerId,
          site,
          generation,
          ...idParams([...distinct.keys()])
        })
      }
      return {
        added,
        changed: changedRows.length - added,
        unchanged: distinct.size - changedRows.length
      }
    },

    /**
     * The copied rows of these remote ids without long texts, as the driver returns them, by
     * column name.
     */
    async findByRemoteIds(ownerId: number, site: string, remoteIds: readonly string[]) {
      return remoteIds.length === 0
        ? []
        : await selectByIds(remoteIds.length)({ owner: ownerId, site, ...idParams(remoteIds) })
    },

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
        contentColumns.map(([name]) => [name, getEmptyValue(shape.columns[name])])
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
          .limit(500)
        const latest = new Map<number, number>()
        for (const { owner_id: owner, seq } of expired) {
          latest.set(Number(owner), Math.max(latest.get(Number(owner)) ?? 0, Number(seq)))
        }
        for (const [owner, seq] of latest) yield feed.pruneStatement(owner, seq)(tx)
        if (expired.length > 0) {
          yield tx.delete(t).where(
            inArray(
              t.id,
              expired.map(({ id }) => Number(id))
            )
          )
        }
        return expired.length === 500
      })
    },

    /** Erases an owner's copies, from all sites or from the given ones. Posted items stay. */
    eraseStatement:
      (ownerId: number, cloudIds?: string[]): StatementBuilder =>
      (tx) =>
        tx
          .delete(t)
          .where(
            and(
              eq(t.ownerId, ownerId),
              cloudIds === undefined ? ne(t.site, '') : inArray(t.site, cloudIds)
            )
          )
  }
}

/** The value of a column on a tombstone. */
function getEmptyValue(column: ItemColumn | undefined): string | number | Date | null {
  if (column === undefined || column.isNullable === true) return null
  if (column.kind === 'instant') return new Date(0)
  return column.kind === 'integer' ? 0 : ''
}

/**
 * Caches one statement per page size: rendering a statement for hundreds of rows takes longer
 * than running it, and most pages are full.
 */
function cacheBySize(
  build: (size: number) => PreparedStatement
): (size: number) => PreparedStatement {
  const preparedBySize = new Map<number, PreparedStatement>()
  return (size) => {
    const prepared = preparedBySize.get(size) ?? build(size)
    if (preparedBySize.size >= MAX_PREPARED_SIZES && !preparedBySize.has(size)) {
      preparedBySize.clear()
    }
    preparedBySize.set(size, prepared)
    return prepared
  }
}
