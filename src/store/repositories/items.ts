import { and, asc, eq, getTableColumns, isNull, sql, type SQL } from 'drizzle-orm'
import type { Tables } from '../../../drizzle/tables.ts'
import { createItemSync } from './item-sync.ts'
import type { Engine, PreparedStatement, RawRow, BindValue } from '../engine.ts'
import type { ChangeFeed } from './change-feed.ts'
import {
  SYNC_COLUMNS,
  BODY_COLUMNS,
  type ItemFilter,
  type ItemFields,
  type ItemTable,
  type ListedItem,
  type ListPosition
} from '../../model/items.ts'

/** The columns that lists are sorted, narrowed and searched by. */
interface ListColumns {
  sortBy: string
  filterBy: string
  searchBy: readonly string[]
}

/** One change of an item. `item` is null where it was deleted. */
export interface ItemChange<T extends ItemTable> {
  seq: number
  id: number
  site: string
  remoteId: string
  item: ListedItem<T> | null
}

/** One item with everything that is kept of it, and its name at Atlassian. */
export interface FullItem<T extends ItemTable> {
  site: string
  remoteId: string
  item: ListedItem<T>
}

/** The columns that are read. Proof of its casts: there are more than the one named here, and all of them are columns. */
type SelectedColumns = Pick<Tables['projects'], 'id'>

/**
 * The items of one kind: what was copied, and beside it what callers posted by hand, whose site is empty. A deleted item stays
 * as a tombstone for the feed; lists do not have it.
 */
export function createItemRepository<T extends ItemTable>(
  engine: Engine,
  table: T,
  { sortBy, filterBy, searchBy }: ListColumns,
  feed: ChangeFeed,
  now: () => number
) {
  const { db, prepare, transaction } = engine
  // Proof of the cast: only the columns that every item table has are used by name; the rest go through `columns`.
  const t = table as unknown as Tables['projects']
  const columns = getTableColumns(table) as unknown as Record<string, typeof t.key>
  const sortColumn = columns[sortBy] as typeof t.key
  const contentNames = Object.keys(columns).filter(
    (name) => !(SYNC_COLUMNS as readonly string[]).includes(name)
  )
  const selectColumns = (names: string[]) =>
    ({
      id: t.id,
      ownerId: t.ownerId,
      updatedAt: t.updatedAt,
      ...Object.fromEntries(names.map((name) => [name, columns[name]]))
    }) as unknown as SelectedColumns
  const listedColumns = selectColumns(contentNames.filter((name) => !BODY_COLUMNS.includes(name)))
  const placeholder = (name: string) => sql.placeholder(name) as never

  const changedAt = sql`coalesce(${t.remoteUpdatedAt}, ${t.updatedAt})`
  const CONDITIONS: Record<keyof ItemFilter | 'after', SQL> = {
    after: sql`(${sortColumn}, ${t.id}) > (${placeholder('value')}, ${placeholder('id')})`,
    parentKey: sql`${columns[filterBy]} = ${placeholder('parentKey')}`,
    updatedSince: sql`${changedAt} >= ${placeholder('updatedSince')}`,
    text: sql.join(
      searchBy.map((name) => engine.contains(columns[name] as typeof t.key, placeholder('text'))),
      sql` or `
    )
  }
  /** A way to list these columns, ordered by the sort column (code points) and then id, from behind `after`. */
  const createLister = (selected: SelectedColumns) => {
    const toItem = createRowMapper<T>(selected)
    const preparedLists = new Map<string, PreparedStatement>()
    /** One statement for each way of asking, so that no condition is there that was not asked for. */
    const prepareList = (conditions: ReadonlyArray<keyof typeof CONDITIONS>): PreparedStatement => {
      const name = conditions.join()
      const cached =
        preparedLists.get(name) ??
        prepare(
          db
            .select(selected)
            .from(t)
            .where(
              and(
                eq(t.ownerId, placeholder('owner')),
                isNull(t.deletedAt),
                ...conditions.map((each) => sql`(${CONDITIONS[each]})`)
              )
            )
            .orderBy(asc(sortColumn), asc(t.id))
            .limit(placeholder('limit'))
        )
      preparedLists.set(name, cached)
      return cached
    }
    return async (
      ownerId: number,
      limit: number,
      after?: ListPosition,
      filter: ItemFilter = {}
    ): Promise<Array<ListedItem<T>>> => {
      const values: Record<string, BindValue | undefined> = {
        ...filter,
        text: filter.text?.replace(/[A-Z]/g, (letter) => letter.toLowerCase()),
        value: after?.[0],
        id: after?.[1]
      }
      const conditions = (Object.keys(CONDITIONS) as Array<keyof typeof CONDITIONS>).filter(
        (name) => values[name === 'after' ? 'id' : name] !== undefined
      )
      const rows = await prepareList(conditions)({
        owner: ownerId,
        limit,
        ...(values as Record<string, BindValue>)
      })
      return rows.map(toItem)
    }
  }
  const selectChanges = prepare(
    db
      .select({
        ...listedColumns,
        site: t.site,
        remoteId: t.remoteId,
        seq: t.seq,
        deletedAt: t.deletedAt
      })
      .from(t)
      .where(and(eq(t.ownerId, placeholder('owner')), sql`${t.seq} > ${placeholder('seq')}`))
      .orderBy(t.seq)
      .limit(placeholder('limit'))
  )

  // By what never changes of an item, so that whoever reads page after page reads each once, whatever is renamed meanwhile.
  const allColumns = selectColumns(contentNames)
  const toFullItem = createRowMapper<T>(allColumns)
  const selectAll = prepare(
    db
      .select({ ...allColumns, site: t.site, remoteId: t.remoteId })
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

  const toListedItem = createRowMapper<T>(listedColumns)

  return {
    ...createItemSync(engine, table, feed, now),

    /**
     * Creates or replaces one hand-posted item; `remoteId` is its natural key. Tried as an update first, because an
     * insert that meets a conflict still uses up an id.
     */
    async save(
      ownerId: number,
      remoteId: string,
      item: ItemFields<T>
    ): Promise<{ row: ListedItem<T>; created: boolean }> {
      const { row, created } = await transaction(function* (tx) {
        const seq = 1 + (yield* feed.lock(ownerId))
        yield* feed.advance(ownerId, 1)
        const syncColumns = { seq, updatedAt: new Date(now()), deletedAt: null }
        const [updated] = yield tx
          .update(t)
          .set({ ...item, ...syncColumns, revision: sql`${t.revision} + 1` })
          .where(and(eq(t.ownerId, ownerId), eq(t.site, ''), eq(t.remoteId, remoteId)))
          .returning(listedColumns)
        if (updated !== undefined) return { row: updated, created: false }
        const [inserted] = yield tx
          .insert(t)
          .values({
            ...item,
            ...syncColumns,
            ownerId,
            site: '',
            remoteId,
            revision: 1
          } as unknown as typeof t.$inferInsert)
          .returning(listedColumns)
        return { row: inserted as RawRow, created: true }
      }, true)
      return { row: toListedItem(row), created }
    },

    /** Items without their long texts, and with them. */
    list: createLister(listedColumns),
    listWithBody: createLister(allColumns),
    /** Whether they have any. */
    hasBody: contentNames.some((name) => BODY_COLUMNS.includes(name)),

    /** Every item of an owner with its long texts, some at a time, by site and remote id. */
    async *exportAll(ownerId: number, batchSize: number): AsyncGenerator<Array<FullItem<T>>> {
      let [site, remoteId] = ['', '']
      while (true) {
        const rows = await selectAll({ owner: ownerId, site, remoteId, limit: batchSize })
        const page = rows.map((row) => ({
          site: String(row.site),
          remoteId: String(row.remote_id),
          item: toFullItem(row)
        }))
        if (page.length > 0) yield page
        const last = page.at(-1)
        if (last === undefined || page.length < batchSize) return
        ;[site, remoteId] = [last.site, last.remoteId]
      }
    },

    /** What has changed behind `seq`, each item once, in the order of its latest change. */
    async listChanges(ownerId: number, seq: number, limit: number): Promise<Array<ItemChange<T>>> {
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

/** Turns rows into items with these columns. */
function createRowMapper<T extends ItemTable>(
  selected: SelectedColumns
): (row: RawRow) => ListedItem<T> {
  const mappings = Object.entries(selected).map(([name, column]) => ({
    name,
    column: column.name,
    isDate: (column.mapFromDriverValue(0 as never) as unknown) instanceof Date
  }))
  return (row) => {
    const item: Record<string, unknown> = {}
    for (const { name, column, isDate } of mappings) {
      item[name] = isDate && row[column] !== null ? new Date(row[column] as number) : row[column]
    }
    return item as ListedItem<T>
  }
}
