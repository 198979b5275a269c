import { and, asc, eq, getTableColumns, inArray, isNull, sql, type SQL } from 'drizzle-orm'
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core'
import { SYNC_COLUMNS } from '../../../drizzle/items.ts'
import type { ItemTableDefinition } from '../../../drizzle/tables.ts'
import { createItemLists } from './item-lists.ts'
import { createRowMapper, toPlaceholders } from '../row-mapper.ts'
import { sumBytes, type ColumnsByName } from './item-rows.ts'
import { createItemSync } from './item-sync.ts'
import type { Engine } from '../engine.ts'
import type { ChangeFeed } from './change-feed.ts'
import { countFitting, type Item, type ListedItem, type RawRow } from '../../model/items.ts'

/** Items of an export that are read at once. */
const EXPORT_BATCH_SIZE = 300
const EXPORT_BATCH_BYTES = 512 * 1024

/** One change of an item. `item` is null where it was deleted. */
export interface ItemChange {
  seq: number
  id: number
  site: string
  remoteId: string
  item: ListedItem | null
}

/** One item with all of its contents, and its id at Atlassian. */
export interface FullItem {
  site: string
  remoteId: string
  item: ListedItem
}

/**
 * The items of one collection: copies, and items that callers posted, whose site is empty. A deleted
 * item stays as a tombstone for the change feed; lists leave it out.
 */
export function createItemRepository(
  engine: Engine,
  { table: t, shape }: ItemTableDefinition,
  feed: ChangeFeed,
  now: () => number
) {
  const { db, prepare, transaction } = engine
  const columns: ColumnsByName = getTableColumns(t)
  const getColumn = (name: string): SQLiteColumn => {
    const column = columns[name]
    if (column === undefined) throw new Error(`The table ${shape.name} has no column ${name}.`)
    return column
  }
  const contentNames = Object.keys(columns).filter(
    (name) => !(SYNC_COLUMNS as readonly string[]).includes(name)
  )
  const selectColumns = (names: string[]): ColumnsByName => ({
    id: t.id,
    ownerId: t.ownerId,
    site: t.site,
    updatedAt: t.updatedAt,
    ...Object.fromEntries(names.map((name) => [name, getColumn(name)]))
  })
  const listedColumns = selectColumns(
    contentNames.filter((name) => shape.columns[name]?.isLong !== true)
  )
  const placeholder = (name: string) => sql.placeholder(name) as never
  const prepareChanges = (selected: Record<string, SQLiteColumn | SQL.Aliased>) =>
    prepare(
      db
        .select(selected)
        .from(t)
        .where(and(eq(t.ownerId, placeholder('owner')), sql`${t.seq} > ${placeholder('seq')}`))
        .orderBy(t.seq)
        .limit(placeholder('limit'))
    )
  const selectChanges = prepareChanges({
    ...listedColumns,
    remoteId: t.remoteId,
    seq: t.seq,
    deletedAt: t.deletedAt
  })
  const selectChangeSizes = prepareChanges({
    seq: t.seq,
    bytes: sumBytes(listedColumns).as('bytes')
  })

  // Ordered by columns that never change, so that an export reads each item once, even if it is
  // renamed between two pages.
  const allColumns = selectColumns(contentNames)
  const toFullItem = createRowMapper<ColumnsByName, ListedItem>(allColumns)
  const prepareExport = (selected: Record<string, SQLiteColumn | SQL.Aliased>) =>
    prepare(
      db
        .select(selected)
        .from(t)
        .where(
          and(
            eq(t.ownerId, placeholder('owner')),
            isNull(t.deletedAt),
            sql`(${t.site}, ${t.remoteId}) > (${placeholder('site')}, ${placeholder('remoteId')})`
          )
        )
        .orderBy(asc(t.site), asc(t.remoteId))
        .limit(placeholder('limit'))
    )
  const selectAll = prepareExport({ ...allColumns, remoteId: t.remoteId })
  const selectSizes = prepareExport({
    id: t.id,
    bytes: sumBytes(allColumns).as('bytes')
  })

  const toListedItem = createRowMapper<ColumnsByName, ListedItem>(listedColumns)

  const emptyItem = Object.fromEntries(contentNames.map((name) => [name, null]))
  const postedValues = {
    ...toPlaceholders(Object.fromEntries(contentNames.map((name) => [name, getColumn(name)]))),
    seq: placeholder('seq'),
    updatedAt: placeholder('updatedAt'),
    deletedAt: null
  }
  const updatePosted = prepare(
    db
      .update(t)
      .set({ ...postedValues, revision: sql`${t.revision} + 1` })
      .where(
        and(
          eq(t.ownerId, placeholder('ownerId')),
          eq(t.site, ''),
          eq(t.remoteId, placeholder('remoteId'))
        )
      )
      .returning(listedColumns)
  )
  const insertPosted = prepare(
    db
      .insert(t)
      .values({
        ...postedValues,
        ownerId: placeholder('ownerId'),
        site: '',
        remoteId: placeholder('remoteId'),
        revision: 1
      })
      .returning(listedColumns)
  )

  return {
    ...createItemSync(engine, { table: t, shape }, feed, now),
    ...createItemLists(engine, { table: t, shape }, getColumn, listedColumns, allColumns),

    /**
     * Creates or replaces one posted item; `remoteId` is its natural key. Updates first, because an
     * insert that conflicts still uses up an id.
     */
    async save(
      ownerId: number,
      remoteId: string,
      item: Item
    ): Promise<{ row: ListedItem; created: boolean }> {
      const { row, created } = await transaction(function* () {
        const seq = yield* feed.advance(ownerId, 1)
        const values = { ...emptyItem, ...item, ownerId, remoteId, seq, updatedAt: new Date(now()) }
        const [updated] = yield updatePosted.bind(values)
        if (updated !== undefined) return { row: updated, created: false }
        const [inserted] = yield insertPosted.bind(values)
        return { row: inserted as RawRow, created: true }
      }, true)
      return { row: toListedItem(row), created }
    },

    /** Those of the values that copied rows of a site have in a column. */
    async listValues(
      ownerId: number,
      site: string,
      columnName: string,
      values: readonly string[]
    ): Promise<string[]> {
      const column = getColumn(columnName)
      const rows = await db
        .selectDistinct({ value: column })
        .from(t)
        .where(
          and(
            eq(t.ownerId, ownerId),
            eq(t.site, site),
            isNull(t.deletedAt),
            inArray(column, [...values])
          )
        )
      return rows.map(({ value }) => String(value))
    },

    /** Every item of an owner with its long texts, few at once, ordered by site and remote id. */
    async *exportAll(ownerId: number): AsyncGenerator<Array<FullItem>> {
      let [site, remoteId] = ['', '']
      while (true) {
        const sizes = await selectSizes({
          owner: ownerId,
          site,
          remoteId,
          limit: EXPORT_BATCH_SIZE
        })
        const limit = countFitting(
          sizes.map(({ bytes }) => Number(bytes)),
          EXPORT_BATCH_BYTES
        )
        const rows = limit === 0 ? [] : await selectAll({ owner: ownerId, site, remoteId, limit })
        const page = rows.map((row) => ({
          site: String(row.site),
          remoteId: String(row.remote_id),
          item: toFullItem(row)
        }))
        if (page.length > 0) yield page
        const last = page.at(-1)
        if (last === undefined) return
        ;[site, remoteId] = [last.site, last.remoteId]
      }
    },

    /** The sizes of changes after `seq`, ordered like the changes: about how many bytes each has as JSON. */
    async listChangeSizes(
      ownerId: number,
      seq: number,
      limit: number
    ): Promise<Array<{ seq: number; bytes: number }>> {
      const rows = await selectChangeSizes({ owner: ownerId, seq, limit })
      return rows.map((row) => ({ seq: Number(row.seq), bytes: Number(row.bytes) }))
    },

    /** Changes after `seq`: each item once, ordered by its latest change. */
    async listChanges(ownerId: number, seq: number, limit: number): Promise<Array<ItemChange>> {
      const rows = await selectChanges({ owner: ownerId, seq, limit })
      return rows.map((row) => ({
        seq: Number(row.seq),
        id: Number(row.id),
        site: String(row.site),
        remoteId: String(row.remote_id),
        item: row.deleted_at === null ? toListedItem(row) : null
      }))
    }
  }
}

export type ItemRepository = ReturnType<typeof createItemRepository>
