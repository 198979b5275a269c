import { and, asc, eq, getTableColumns, isNull, sql, type SQL } from 'drizzle-orm'
import type { Tables } from '../../../drizzle/tables.ts'
import { copies } from './item-sync.ts'
import type { Engine, Prepared, RawRow, Value } from '../engine.ts'
import type { Feed } from './change-feed.ts'
import {
  BOOKKEEPING,
  LONG,
  type Filter,
  type ItemOf,
  type ItemTable,
  type Listed,
  type Position
} from '../../model/items.ts'

/** The columns that lists are sorted, narrowed and searched by. */
interface Ways {
  sortBy: string
  within: string
  named: readonly string[]
}

/** One change of an item. `item` is null where it was deleted. */
export interface ItemChange<T extends ItemTable> {
  seq: number
  id: number
  site: string
  remoteId: string
  item: Listed<T> | null
}

/** One item with everything that is kept of it, and its name at Atlassian. */
export interface WholeItem<T extends ItemTable> {
  site: string
  remoteId: string
  item: Listed<T>
}

/** The columns that are read. Proof of its casts: there are more than the one named here, and all of them are columns. */
type Selection = Pick<Tables['projects'], 'id'>

/**
 * The items of one kind: what was copied, and beside it what callers posted by hand, whose site is empty. A deleted item stays
 * as a tombstone for the feed; lists do not have it.
 */
export function collection<T extends ItemTable>(
  engine: Engine,
  table: T,
  { sortBy, within, named }: Ways,
  feed: Feed,
  now: () => number
) {
  const { db, prepare, inSteps } = engine
  // Proof of the cast: only the columns that every item table has are used by name; the rest go through `columns`.
  const t = table as unknown as Tables['projects']
  const columns = getTableColumns(table) as unknown as Record<string, typeof t.key>
  const sortColumn = columns[sortBy] as typeof t.key
  const contents = Object.keys(columns).filter(
    (name) => !(BOOKKEEPING as readonly string[]).includes(name)
  )
  const selecting = (names: string[]) =>
    ({
      id: t.id,
      ownerId: t.ownerId,
      updatedAt: t.updatedAt,
      ...Object.fromEntries(names.map((name) => [name, columns[name]]))
    }) as unknown as Selection
  const listed = selecting(contents.filter((name) => !LONG.includes(name)))
  const holder = (name: string) => sql.placeholder(name) as never

  const changedAt = sql`coalesce(${t.remoteUpdatedAt}, ${t.updatedAt})`
  const CONDITIONS: Record<keyof Filter | 'after', SQL> = {
    after: sql`(${sortColumn}, ${t.id}) > (${holder('value')}, ${holder('id')})`,
    within: sql`${columns[within]} = ${holder('within')}`,
    since: sql`${changedAt} >= ${holder('since')}`,
    text: sql.join(
      named.map((name) => engine.contains(columns[name] as typeof t.key, holder('text'))),
      sql` or `
    )
  }
  /** A way to list these columns, ordered by the sort column (code points) and then id, from behind `after`. */
  const lister = (selected: Selection) => {
    const read = readerOf<T>(selected)
    const lists = new Map<string, Prepared>()
    /** One statement for each way of asking, so that no condition is there that was not asked for. */
    const listing = (asked: ReadonlyArray<keyof typeof CONDITIONS>): Prepared => {
      const name = asked.join()
      const known =
        lists.get(name) ??
        prepare(
          db
            .select(selected)
            .from(t)
            .where(
              and(
                eq(t.ownerId, holder('owner')),
                isNull(t.deletedAt),
                ...asked.map((each) => sql`(${CONDITIONS[each]})`)
              )
            )
            .orderBy(asc(sortColumn), asc(t.id))
            .limit(holder('limit'))
        )
      lists.set(name, known)
      return known
    }
    return async (
      ownerId: number,
      limit: number,
      after?: Position,
      filter: Filter = {}
    ): Promise<Array<Listed<T>>> => {
      const values: Record<string, Value | undefined> = {
        ...filter,
        text: filter.text?.replace(/[A-Z]/g, (letter) => letter.toLowerCase()),
        value: after?.[0],
        id: after?.[1]
      }
      const asked = (Object.keys(CONDITIONS) as Array<keyof typeof CONDITIONS>).filter(
        (name) => values[name === 'after' ? 'id' : name] !== undefined
      )
      const rows = await listing(asked)({
        owner: ownerId,
        limit,
        ...(values as Record<string, Value>)
      })
      return rows.map(read)
    }
  }
  const changes = prepare(
    db
      .select({ ...listed, site: t.site, remoteId: t.remoteId, seq: t.seq, deletedAt: t.deletedAt })
      .from(t)
      .where(and(eq(t.ownerId, holder('owner')), sql`${t.seq} > ${holder('seq')}`))
      .orderBy(t.seq)
      .limit(holder('limit'))
  )

  // By what never changes of an item, so that whoever reads page after page reads each once, whatever is renamed meanwhile.
  const whole = selecting(contents)
  const readWhole = readerOf<T>(whole)
  const everything = prepare(
    db
      .select({ ...whole, site: t.site, remoteId: t.remoteId })
      .from(t)
      .where(
        and(
          eq(t.ownerId, holder('owner')),
          isNull(t.deletedAt),
          sql`(${t.site}, ${t.remoteId}) > (${holder('site')}, ${holder('remoteId')})`
        )
      )
      .orderBy(asc(t.site), asc(t.remoteId))
      .limit(holder('limit'))
  )

  const read = readerOf<T>(listed)

  return {
    ...copies(engine, table, feed, now),

    /**
     * Creates or replaces one hand-posted item; `remoteId` is its natural key. Tried as an update first, because an
     * insert that meets a conflict still uses up an id.
     */
    async save(
      ownerId: number,
      remoteId: string,
      item: ItemOf<T>
    ): Promise<{ row: Listed<T>; created: boolean }> {
      const { row, created } = await inSteps(function* (tx) {
        const seq = 1 + (yield* feed.holding(ownerId))
        yield* feed.advancing(ownerId, 1)
        const written = { seq, updatedAt: new Date(now()), deletedAt: null }
        const [replaced] = yield tx
          .update(t)
          .set({ ...item, ...written, revision: sql`${t.revision} + 1` })
          .where(and(eq(t.ownerId, ownerId), eq(t.site, ''), eq(t.remoteId, remoteId)))
          .returning(listed)
        if (replaced !== undefined) return { row: replaced, created: false }
        const [saved] = yield tx
          .insert(t)
          .values({
            ...item,
            ...written,
            ownerId,
            site: '',
            remoteId,
            revision: 1
          } as unknown as typeof t.$inferInsert)
          .returning(listed)
        return { row: saved as RawRow, created: true }
      }, true)
      return { row: read(row), created }
    },

    /** Items without their long texts, and with them. */
    list: lister(listed),
    listWhole: lister(whole),
    /** Whether they have any. */
    hasLong: contents.some((name) => LONG.includes(name)),

    /** Every item of an owner with its long texts, some at a time, by site and remote id. */
    async *everything(ownerId: number, atOnce: number): AsyncGenerator<Array<WholeItem<T>>> {
      let [site, remoteId] = ['', '']
      while (true) {
        const rows = await everything({ owner: ownerId, site, remoteId, limit: atOnce })
        const page = rows.map((row) => ({
          site: String(row.site),
          remoteId: String(row.remote_id),
          item: readWhole(row)
        }))
        if (page.length > 0) yield page
        const last = page.at(-1)
        if (last === undefined || page.length < atOnce) return
        ;[site, remoteId] = [last.site, last.remoteId]
      }
    },

    /** What has changed behind `seq`, each item once, in the order of its latest change. */
    async changes(ownerId: number, seq: number, limit: number): Promise<Array<ItemChange<T>>> {
      const rows = await changes({ owner: ownerId, seq, limit })
      return rows.map((row) => ({
        seq: Number(row.seq),
        id: Number(row.id),
        site: String(row.site),
        remoteId: String(row.remote_id),
        item: row.deleted_at === null ? read(row) : null
      }))
    }
  }
}

/** Turns rows into items with these columns. */
function readerOf<T extends ItemTable>(selected: Selection): (row: RawRow) => Listed<T> {
  const reading = Object.entries(selected).map(([name, column]) => ({
    name,
    column: column.name,
    instant: (column.mapFromDriverValue(0 as never) as unknown) instanceof Date
  }))
  return (row) => {
    const item: Record<string, unknown> = {}
    for (const { name, column, instant } of reading) {
      item[name] = instant && row[column] !== null ? new Date(row[column] as number) : row[column]
    }
    return item as Listed<T>
  }
}
