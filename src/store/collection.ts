import { and, asc, eq, getTableColumns, inArray, ne, or, sql, type SQL } from 'drizzle-orm'
import type { Tables } from '../../drizzle/tables.ts'
import type { Engine, Prepared, Value, WithStatement } from './engine.ts'

/** Where a list goes on: the sort value and the id of the last row that was served. */
export type Position = [sortValue: string, id: number]

/** How one page of upstream items changed the table. */
export interface Changes { added: number, changed: number, unchanged: number }

/** One item as lists have it: its contents, and whose it is. */
export type Listed<T extends Table> = Pick<RowOf<T>, 'id' | 'ownerId'> & ItemOf<T>

/** Statements kept for pages of that many different sizes. */
const MOST_UPSERTS = 4

type Table = Tables['projects'] | Tables['pages']
type Bookkeeping = 'id' | 'ownerId' | 'site' | 'remoteId' | 'revision' | 'updatedAt'
/** One item as a product or a caller describes it. */
export type ItemOf<T extends Table> = Omit<T['$inferInsert'], Bookkeeping>
/** The copied kinds of things, by the name of their table. */
export interface Items { projects: ItemOf<Tables['projects']>, pages: ItemOf<Tables['pages']> }
/** One item as stored. */
export type RowOf<T extends Table> = T['$inferSelect']

/**
 * The copies of one kind of thing. Rows are keyed by owner, site and remote id, so that an item whose key or title
 * changes upstream is updated and not doubled; a row posted by hand has an empty site and lives beside the synced ones.
 */
export function collection<T extends Table> ({ db, write, atomically, prepare }: Engine, table: T, sortBy: 'key' | 'title', now: () => number) {
  // Proof of the cast: only the columns that every item table has are used by name; the rest go through `columns`.
  const t = table as unknown as Tables['projects']
  const columns = getTableColumns(table) as unknown as typeof t['_']['columns']
  const sortColumn = columns[sortBy as 'key']
  const contents = Object.entries(columns).filter(([name]) => !['id', 'ownerId', 'site', 'remoteId', 'revision', 'updatedAt'].includes(name))
  const excluded = Object.fromEntries(contents.map(([name, column]) => [name, sql.raw(`excluded."${column.name}"`)]))
  const overwrite = { ...excluded, revision: sql`${t.revision} + 1`, updatedAt: sql.raw(`excluded."${columns.updatedAt.name}"`) }
  const differs = or(...contents.map(([, column]) => sql`${column} is distinct from ${sql.raw(`excluded."${column.name}"`)}`)) as SQL
  const target = [t.ownerId, t.site, t.remoteId]

  const row = (ownerId: number, site: string, remoteId: string, item: ItemOf<T>) =>
    ({ ...item, ownerId, site, remoteId, revision: 1, updatedAt: new Date(now()) }) as unknown as typeof t.$inferInsert

  const listed = { id: t.id, ...Object.fromEntries(contents) } as { id: typeof t.id }
  const names = Object.entries(listed).map(([name, column]) => [name, column.name] as const)
  const [owner, value, id, limit] = ['owner', 'value', 'id', 'limit'].map((name) => sql.placeholder(name))
  const page = (behind?: SQL) => prepare(db.select(listed).from(t).where(and(eq(t.ownerId, owner as never), behind))
    .orderBy(asc(sortColumn), asc(t.id)).limit(limit as never))
  const [fromStart, fromBehind] = [page(), page(sql`(${sortColumn}, ${t.id}) > (${value}, ${id})`)]

  const written = Object.keys(columns).filter((name) => name !== 'id')
  const upserts = new Map<number, Prepared>()
  /** Rendering a statement for a few hundred rows takes longer than running it, and pages are nearly always full. */
  const upsert = (size: number): Prepared => {
    const known = upserts.get(size)
    if (known !== undefined) return known
    const rows = Array.from({ length: size }, (_, i) => Object.fromEntries(written.map((name) => [name, sql.placeholder(`${name} ${i}`)])))
    const made = prepare(db.insert(t).values(rows as unknown as Array<typeof t.$inferInsert>)
      .onConflictDoUpdate({ target, set: overwrite, setWhere: differs }).returning({ revision: t.revision }))
    if (upserts.size >= MOST_UPSERTS) upserts.clear()
    upserts.set(size, made)
    return made
  }

  return {
    /**
     * Creates or replaces one hand-posted item; `remoteId` is its natural key. Tried as an update first, because an
     * insert that meets a conflict still uses up an id.
     */
    async save (ownerId: number, remoteId: string, item: ItemOf<T>): Promise<{ row: RowOf<T>, created: boolean }> {
      const [replaced] = await write(() => db.update(t).set({ ...item, revision: sql`${t.revision} + 1`, updatedAt: new Date(now()) })
        .where(and(eq(t.ownerId, ownerId), eq(t.site, ''), eq(t.remoteId, remoteId))).returning())
      if (replaced !== undefined) return { row: replaced as unknown as RowOf<T>, created: false }
      const [saved] = await write(() => db.insert(t).values(row(ownerId, '', remoteId, item))
        .onConflictDoUpdate({ target, set: overwrite }).returning())
      if (saved === undefined) throw new Error('An upsert returned no row')
      return { row: saved as unknown as RowOf<T>, created: saved.revision === 1 }
    },

    /**
     * Saves one upstream page in one statement, if `given` holds. Rows that already say the same are left alone, so `changed` counts
     * what really changed. An item that appears twice in the page counts once, the later one wins.
     *
     * @returns undefined where `given` does not hold: nothing is saved then
     */
    async savePage (ownerId: number, site: string, items: Array<{ remoteId: string, item: ItemOf<T> }>, given?: WithStatement): Promise<Changes | undefined> {
      const distinct = new Map(items.map(({ remoteId, item }) => [remoteId, row(ownerId, site, remoteId, item)]))
      if (distinct.size === 0) return { added: 0, changed: 0, unchanged: 0 }
      const rows = [...distinct.values()] as Array<Record<string, unknown>>
      const values = Object.fromEntries(rows.flatMap((each, i) => written.map((name) => [`${name} ${i}`, (each[name] ?? null) as Value])))
      const page = () => [upsert(rows.length).bind(values)]
      const [touched] = (given === undefined ? await atomically(page) : await atomically(page, given)) ?? []
      if (touched === undefined) return undefined
      const added = touched.filter(({ revision }) => revision === 1).length
      return { added, changed: touched.length - added, unchanged: distinct.size - touched.length }
    },

    /** Erases what was copied for an owner, from all sites or from these; what was posted by hand stays. */
    erasing: (ownerId: number, cloudIds?: string[]): WithStatement => (tx) =>
      tx.delete(t).where(and(eq(t.ownerId, ownerId), cloudIds === undefined ? ne(t.site, '') : inArray(t.site, cloudIds))),

    /** Ordered by the sort column (code points) and then id, from behind `after`. */
    async list (ownerId: number, limit: number, after?: Position): Promise<Array<Listed<T>>> {
      const rows = await (after === undefined
        ? fromStart({ owner: ownerId, limit })
        : fromBehind({ owner: ownerId, limit, value: after[0], id: after[1] }))
      return rows.map((row) => {
        const item: Record<string, unknown> = { ownerId }
        for (const [name, column] of names) item[name] = row[column]
        return item as Listed<T>
      })
    }
  }
}
