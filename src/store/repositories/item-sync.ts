import {
  and,
  eq,
  getTableColumns,
  gt,
  inArray,
  isNotNull,
  isNull,
  lt,
  ne,
  or,
  sql,
  type SQL
} from 'drizzle-orm'
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core'
import { SYNC_COLUMNS } from '../../../drizzle/items.ts'
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
import { createTombstoneMethods } from './item-tombstones.ts'
import type { ChangeCounts, RemoteItem } from '../../model/items.ts'

/** Number of page sizes whose prepared statements stay in the cache. */
const MAX_PREPARED_SIZES = 5
/** Lists of ids have the next of these lengths: 1, 4, 16, 64, 256, … */
const LENGTH_FACTOR = 4

/**
 * Writes the copies of one collection. The key of a row is owner, site and remote id, so an item
 * whose key or title changes upstream is updated, not duplicated.
 */
export function createItemSync(
  engine: Engine,
  definition: ItemTableDefinition,
  feed: ChangeFeed,
  now: () => number
) {
  const { db, prepare, rowsPerStatement } = engine
  const { table: t, shape } = definition
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
    )
  })
  const countWritten = prepare(
    db
      .select({
        written: sql`count(*)`.as('written'),
        added: sql`count(case when ${t.revision} = 1 then 1 end)`.as('added')
      })
      .from(t)
      .where(and(eq(t.ownerId, placeholder('owner')), gt(t.seq, placeholder('seq'))))
  )
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
        .returning({ id: t.id })
    )
  )
  const shortColumns = Object.fromEntries(
    Object.entries(columns).filter(([name]) => shape.columns[name]?.isLong !== true)
  )
  const selectByIds = (selectedColumns: Record<string, SQLiteColumn>) =>
    cacheBySize((size) =>
      prepare(
        db
          .select(selectedColumns)
          .from(t)
          .where(and(matchesIds(size), isNull(t.deletedAt)))
      )
    )
  const selectShortByIds = selectByIds(shortColumns)
  const selectWholeByIds = selectByIds(columns)
  const idParams = (list: readonly string[]) =>
    Object.fromEntries(list.map((id, i) => [`id ${i}`, id]))

  return {
    /**
     * Saves one upstream page. Skips rows whose stored contents are equal or newer; `changed`
     * counts only rows that were written. If an item appears twice in a page, the later one
     * counts. A deleted item that appears again is restored.
     *
     * @param generation number of the full listing that returned the page, or of the latest one if
     *   an incremental sync did
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
      if (distinct.size === 0) return { added: 0, changed: 0, unchanged: 0, newlyListed: 0 }
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
      for (let i = 0; i < rows.length; i += rowsPerStatement) {
        const part = rows.slice(i, i + rowsPerStatement)
        yield upsertRows(part.length).bindRows(part)
      }
      const [counts] = yield countWritten.bind({ owner: ownerId, seq: lastSeq })
      const [written, added] = [Number(counts?.written), Number(counts?.added)]
      if (written > 0) yield* feed.advance(ownerId, distinct.size)
      let newlyListed = written
      if (written < distinct.size) {
        const ids = padIds([...distinct.keys()])
        const marked = yield markListed(ids.length).bind({
          owner: ownerId,
          site,
          generation,
          ...idParams(ids)
        })
        newlyListed += marked.length
      }
      return {
        newlyListed,
        added,
        changed: written - added,
        unchanged: distinct.size - written
      }
    },

    /** The copied rows of these remote ids, as the driver returns them, by column name. */
    async findByRemoteIds(
      ownerId: number,
      site: string,
      remoteIds: readonly string[],
      withLongTexts = false
    ) {
      if (remoteIds.length === 0) return []
      const select = withLongTexts ? selectWholeByIds : selectShortByIds
      const ids = padIds(remoteIds)
      return await select(ids.length)({ owner: ownerId, site, ...idParams(ids) })
    },

    ...createTombstoneMethods(engine, definition, feed, now),

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

/** Repeats the first id up to one of a few lengths, so that few statements serve every list. */
function padIds(ids: readonly string[]): string[] {
  let length = 1
  while (length < ids.length) length *= LENGTH_FACTOR
  return Array.from({ length }, (_, i) => ids[i] ?? ids[0] ?? '')
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
