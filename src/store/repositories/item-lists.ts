import { and, asc, count, eq, inArray, isNotNull, isNull, sql, type SQL } from 'drizzle-orm'
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core'
import type { ItemTableDefinition } from '../../../drizzle/tables.ts'
import type { BindValue, Engine, PreparedStatement } from '../engine.ts'
import {
  countFitting,
  type ItemFilter,
  type ListedItem,
  type ListPosition,
  type RawRow
} from '../../model/items.ts'
import { createRowMapper } from '../row-mapper.ts'
import { sumBytes, type ColumnsByName } from './item-rows.ts'
import { createVersionCache } from './version-cache.ts'

/** Ids per statement while a snapshot is taken. */
const SNAPSHOT_BATCH_SIZE = 10_000
/** Items of a snapshot that are read by one statement. */
const SNAPSHOT_PAGE_SIZE = 250
/** Counts that are remembered. */
const MAX_CACHED_COUNTS = 1_000
/** Snapshots that later requests share while somebody reads them. */
const MAX_SHARED_SNAPSHOTS = 100

/** Bytes of rows with long texts that are read at once. */
const READ_BYTES = 512 * 1024

/** A row of a list that has not been read: its place, and about how many bytes it has as JSON. */
export interface ListedSize {
  position: ListPosition
  bytes: number
}

/** The ids of a list in its order, as they were at one moment: eight bytes for each item. */
export interface ListSnapshot {
  readonly total: number
  readonly batches: readonly Float64Array[]
}

type Condition = keyof ItemFilter | 'after'

/**
 * Reads the lists of one collection, ordered by the sort column (code points) and id, without
 * tombstones.
 *
 * @param listedColumns what lists serve
 * @param allColumns the same, and long texts
 */
export function createItemLists(
  engine: Engine,
  { table: t, shape }: ItemTableDefinition,
  getColumn: (name: string) => SQLiteColumn,
  listedColumns: ColumnsByName,
  allColumns: ColumnsByName
) {
  const { db, prepare, snapshot } = engine
  const sortColumn = getColumn(shape.sortBy)
  const placeholder = (name: string) => sql.placeholder(name) as never
  const changedAt = sql`coalesce(${t.remoteUpdatedAt}, ${t.updatedAt})`
  const CONDITIONS: Record<Condition, SQL> = {
    after: sql`(${sortColumn}, ${t.id}) > (${placeholder('value')}, ${placeholder('id')})`,
    parentKey: sql`${getColumn(shape.filterBy.column)} = ${placeholder('parentKey')}`,
    updatedSince: sql`${changedAt} >= ${placeholder('updatedSince')}`,
    text: sql.join(
      shape.searchBy.map((name) => engine.contains(getColumn(name), placeholder('text'))),
      sql` or `
    )
  }
  const ofOwner = eq(t.ownerId, placeholder('owner'))
  const toSql = (conditions: readonly Condition[]) =>
    conditions.map((each) => sql`(${CONDITIONS[each]})`)

  /** One statement for each combination of conditions: an unused condition would slow the query down. */
  function prepareByConditions(build: (conditions: readonly Condition[]) => PreparedStatement) {
    const prepared = new Map<string, PreparedStatement>()
    return (ownerId: number, after: ListPosition | undefined, filter: ItemFilter) => {
      const values: Record<string, BindValue | undefined> = {
        ...filter,
        text: filter.text?.replace(/[A-Z]/g, (letter) => letter.toLowerCase()),
        value: after?.[0],
        id: after?.[1]
      }
      const conditions = (Object.keys(CONDITIONS) as Condition[]).filter(
        (name) => values[name === 'after' ? 'id' : name] !== undefined
      )
      const name = conditions.join()
      const statement = prepared.get(name) ?? build(conditions)
      prepared.set(name, statement)
      return { statement, values: { owner: ownerId, ...(values as Record<string, BindValue>) } }
    }
  }

  const buildList = (selected: ColumnsByName, isLive: SQL) => (conditions: readonly Condition[]) =>
    prepare(
      db
        .select(selected)
        .from(t)
        .where(and(ofOwner, isLive, ...toSql(conditions)))
        .orderBy(asc(sortColumn), asc(t.id))
        .limit(placeholder('limit'))
    )

  function createLister(selected: ColumnsByName) {
    const toItem = createRowMapper<ColumnsByName, ListedItem>(selected)
    const bindList = prepareByConditions(buildList(selected, isNull(t.deletedAt)))
    return async (
      ownerId: number,
      limit: number,
      after?: ListPosition,
      filter: ItemFilter = {}
    ): Promise<ListedItem[]> => {
      const { statement, values } = bindList(ownerId, after, filter)
      return (await statement({ ...values, limit })).map(toItem)
    }
  }

  // Tombstones are empty, so that the index tells most rows from them without reading the rows.
  const bindIds = prepareByConditions(
    buildList(
      { id: t.id, [shape.sortBy]: sortColumn },
      sql`(${sortColumn} <> '' or ${t.deletedAt} is null)`
    )
  )
  const bindCount = prepareByConditions((conditions) => {
    const matches = and(ofOwner, ...toSql(conditions))
    const tombstones = db
      .select({ count: count() })
      .from(t)
      .where(and(matches, eq(sortColumn, ''), isNotNull(t.deletedAt)))
    return prepare(
      db
        .select({ total: sql`count(*) - (${tombstones})`.as('total') })
        .from(t)
        .where(matches)
    )
  })
  const counts = createVersionCache<number>(MAX_CACHED_COUNTS)
  const snapshots = createVersionCache<WeakRef<ListSnapshot>>(MAX_SHARED_SNAPSHOTS)

  const bindSizes = prepareByConditions((conditions) =>
    prepare(
      db
        .select({
          id: t.id,
          [shape.sortBy]: sortColumn,
          bytes: sumBytes(allColumns).as('bytes')
        })
        .from(t)
        .where(and(ofOwner, isNull(t.deletedAt), ...toSql(conditions)))
        .orderBy(asc(sortColumn), asc(t.id))
        .limit(placeholder('limit'))
    )
  )

  /** Reads rows by id, in the order of the ids. Rows that have been deleted are left out. */
  function createIdReader(selected: ColumnsByName) {
    const pageIds = Array.from({ length: SNAPSHOT_PAGE_SIZE }, (_, i) => `id ${i}`)
    const toItem = createRowMapper<ColumnsByName, ListedItem>(selected)
    // Without the owner, which would lead a planner to another index than that of the ids.
    const selectPage = prepare(
      db
        .select(selected)
        .from(t)
        .where(and(inArray(t.id, pageIds.map(placeholder)), isNull(t.deletedAt)))
    )
    return async (ownerId: number, ids: ArrayLike<number>): Promise<ListedItem[]> => {
      const rows = await selectPage({
        // Unused places hold 0, which is no id.
        ...Object.fromEntries(pageIds.map((name, i) => [name, ids[i] ?? 0]))
      })
      const itemsById = new Map(rows.map((row) => [Number(row.id), toItem(row)]))
      return Array.from(ids, (id) => itemsById.get(id)).filter(
        (item) => item?.ownerId === ownerId
      ) as ListedItem[]
    }
  }
  const readByIds = createIdReader(listedColumns)
  const readByIdsWithBody = createIdReader(allColumns)

  return {
    /** Items without their long texts. */
    list: createLister(listedColumns),
    /** The places and sizes of the items of a list with their long texts, which are not read. */
    async listSizes(
      ownerId: number,
      limit: number,
      after?: ListPosition,
      filter: ItemFilter = {}
    ): Promise<ListedSize[]> {
      const { statement, values } = bindSizes(ownerId, after, filter)
      return (await statement({ ...values, limit })).map((row) => ({
        position: [String(row[sortColumn.name]), Number(row.id)],
        bytes: Number(row.bytes)
      }))
    },

    /** Items with their long texts, few at once. Items deleted since are left out. */
    async *readWithBody(
      ownerId: number,
      sizes: readonly ListedSize[]
    ): AsyncGenerator<ListedItem[]> {
      for (let start = 0; start < sizes.length;) {
        const rest = sizes.slice(start, start + SNAPSHOT_PAGE_SIZE)
        const count = countFitting(
          rest.map(({ bytes }) => bytes),
          READ_BYTES
        )
        yield await readByIdsWithBody(
          ownerId,
          rest.slice(0, count).map(({ position: [, id] }) => id)
        )
        start += count
      }
    },

    /**
     * How many items a list has. Counts once for each version of the owner's items and filter:
     * an index range without filter or with a parent, otherwise all rows of the owner.
     *
     * @param seq the position of the owner's change feed, read before
     */
    async count(ownerId: number, seq: number, filter: ItemFilter = {}): Promise<number> {
      const key = toFilterKey(ownerId, filter)
      const cached = counts.get(key, seq)
      if (cached !== undefined) return cached
      const { statement, values } = bindCount(ownerId, undefined, filter)
      const [row] = await statement(values)
      const total = Number(row?.total ?? 0)
      counts.set(key, seq, total)
      return total
    },

    /**
     * Takes down which items a list has at this moment, and their order. Requests that read the
     * same version of a list at the same time share one snapshot.
     *
     * @param seq the position of the owner's change feed, read before
     */
    async takeSnapshot(
      ownerId: number,
      seq: number,
      filter: ItemFilter = {}
    ): Promise<ListSnapshot> {
      const key = toFilterKey(ownerId, filter)
      const shared = snapshots.get(key, seq)?.deref()
      if (shared !== undefined) return shared
      const taken = await snapshot(function* () {
        const batches: Float64Array[] = []
        let after: ListPosition | undefined
        while (true) {
          const { statement, values } = bindIds(ownerId, after, filter)
          const rows: RawRow[] = yield statement.bind({ ...values, limit: SNAPSHOT_BATCH_SIZE })
          batches.push(Float64Array.from(rows, ({ id }) => Number(id)))
          const last = rows.at(-1)
          if (last === undefined || rows.length < SNAPSHOT_BATCH_SIZE) break
          after = [String(last[sortColumn.name]), Number(last.id)]
        }
        return { total: batches.reduce((sum, { length }) => sum + length, 0), batches }
      })
      snapshots.set(key, seq, new WeakRef(taken))
      return taken
    },

    /**
     * The items of a snapshot page by page, each once and at the place it had in the snapshot,
     * with its present contents. Items deleted since are left out.
     */
    async *readSnapshot(ownerId: number, { batches }: ListSnapshot): AsyncGenerator<ListedItem[]> {
      for (const batch of batches) {
        for (let start = 0; start < batch.length; start += SNAPSHOT_PAGE_SIZE) {
          const ids = batch.subarray(start, start + SNAPSHOT_PAGE_SIZE)
          yield await readByIds(ownerId, ids)
        }
      }
    }
  }
}

function toFilterKey(ownerId: number, { parentKey, updatedSince, text }: ItemFilter): string {
  return JSON.stringify([ownerId, parentKey, updatedSince, text])
}
