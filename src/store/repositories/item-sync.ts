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
import type { Tables } from '../../../drizzle/tables.ts'
import {
  ofRow,
  type Engine,
  type Prepared,
  type Steps,
  type Value,
  type WithStatement
} from '../engine.ts'
import type { Feed } from './change-feed.ts'
import {
  BOOKKEEPING,
  LONG,
  type Changes,
  type ItemOf,
  type ItemTable,
  type Remote
} from '../../model/items.ts'

/** Statements kept for pages of that many different sizes. */
const MOST_SIZES = 4
/** Rows that are looked at in one go where all of them have to be. */
const STRIDE = 5_000

/** A copied row that a complete listing did not show. */
export interface Missing {
  id: number
  remoteId: string
  pass: number
}

/**
 * What a sync does to the copies of one kind of thing. Rows are keyed by owner, site and remote id, so that an item whose key
 * or title changes upstream is updated and not doubled.
 */
export function copies<T extends ItemTable>(
  engine: Engine,
  table: T,
  feed: Feed,
  now: () => number
) {
  const { db, prepare, inSteps } = engine
  // Proof of the cast: only the columns that every item table has are used by name; the rest go through `columns`.
  const t = table as unknown as Tables['projects']
  const columns = getTableColumns(table) as unknown as (typeof t)['_']['columns']
  const contents = Object.entries(columns).filter(
    ([name]) => !(BOOKKEEPING as readonly string[]).includes(name)
  )
  const fresh = (name: string) => sql.raw(`excluded."${name}"`)
  const excluded = Object.fromEntries(contents.map(([name, column]) => [name, fresh(column.name)]))
  const differs = or(
    isNotNull(t.deletedAt),
    ...contents.map(([, column]) => sql`${column} is distinct from ${fresh(column.name)}`)
  ) as SQL
  // A read that is older than what is stored changes nothing, so that windows may overlap.
  const newer = sql`(${t.remoteUpdatedAt} is null or ${fresh(t.remoteUpdatedAt.name)} is null or ${fresh(t.remoteUpdatedAt.name)} >= ${t.remoteUpdatedAt})`
  const overwrite = {
    ...excluded,
    revision: sql`case when ${t.deletedAt} is null then ${t.revision} + 1 else 1 end`,
    updatedAt: fresh(t.updatedAt.name),
    seq: fresh(t.seq.name),
    pass: sql`case when ${t.pass} > ${fresh(t.pass.name)} then ${t.pass} else ${fresh(t.pass.name)} end`,
    deletedAt: null
  }
  const written = Object.keys(columns).filter((name) => name !== 'id')
  const blank = { ...Object.fromEntries(written.map((name) => [name, null])), revision: 1 }
  const holder = (name: string) => sql.placeholder(name) as never

  const upsert = bySize((size) => {
    const rows = Array.from({ length: size }, (_, i) =>
      Object.fromEntries(written.map((name) => [name, sql.placeholder(ofRow(i, name))]))
    )
    return prepare(
      db
        .insert(t)
        .values(rows as unknown as Array<typeof t.$inferInsert>)
        .onConflictDoUpdate({
          target: [t.ownerId, t.site, t.remoteId],
          set: overwrite,
          setWhere: and(differs, newer)
        })
        .returning({ revision: t.revision })
    )
  })
  const named = (size: number) =>
    and(
      eq(t.ownerId, holder('owner')),
      eq(t.site, holder('site')),
      inArray(
        t.remoteId,
        Array.from({ length: size }, (_, i) => holder(`id ${i}`))
      )
    )
  const mark = bySize((size) =>
    prepare(
      db
        .update(t)
        .set({ pass: sql`${holder('pass')}` })
        .where(and(named(size), lt(t.pass, holder('pass'))))
    )
  )
  const short = Object.fromEntries(
    Object.entries(columns).filter(([name]) => !LONG.includes(name))
  ) as unknown as { id: typeof t.id }
  const find = bySize((size) =>
    prepare(
      db
        .select(short)
        .from(t)
        .where(and(named(size), isNull(t.deletedAt)))
    )
  )
  const ids = (list: readonly string[]) => Object.fromEntries(list.map((id, i) => [`id ${i}`, id]))

  return {
    /**
     * Saves one upstream page. Rows that already say the same, or something newer, are left alone, so `changed` counts what
     * really changed. An item that appears twice in the page counts once, the later one wins; one that was deleted comes back.
     *
     * @param pass the full listing that shows them
     */
    *saving(
      ownerId: number,
      site: string,
      items: ReadonlyArray<Remote<ItemOf<T>>>,
      pass: number
    ): Steps<Changes> {
      const distinct = new Map(
        items.map(({ remoteId, item }) => [remoteId, item as Record<string, Value>])
      )
      if (distinct.size === 0) return { added: 0, changed: 0, unchanged: 0 }
      const base = yield* feed.holding(ownerId)
      const updatedAt = new Date(now())
      let seq = base
      const rows = Array.from(distinct, ([remoteId, item]) => ({
        ...blank,
        ...item,
        ownerId,
        site,
        remoteId,
        updatedAt,
        seq: ++seq,
        pass
      }))
      const touched = yield upsert(rows.length).bindRows(rows)
      if (touched.length > 0) yield* feed.advancing(ownerId, distinct.size)
      const added = touched.filter(({ revision }) => revision === 1).length
      if (touched.length < distinct.size) {
        yield mark(distinct.size).bind({ owner: ownerId, site, pass, ...ids([...distinct.keys()]) })
      }
      return { added, changed: touched.length - added, unchanged: distinct.size - touched.length }
    },

    /** The copied rows of these remote ids, without long texts, as the driver has them: by the names of the columns. */
    async find(ownerId: number, site: string, remoteIds: readonly string[]) {
      return remoteIds.length === 0
        ? []
        : await find(remoteIds.length)({ owner: ownerId, site, ...ids(remoteIds) })
    },

    /** Rows of a site that the listing `pass` did not show, some thousands looked at in each step. */
    async *missing(ownerId: number, site: string, pass: number): AsyncGenerator<Missing[]> {
      const within = and(eq(t.ownerId, ownerId), eq(t.site, site))
      let from = ''
      while (true) {
        const [edge] = await db
          .select({ remoteId: t.remoteId })
          .from(t)
          .where(and(within, gt(t.remoteId, from)))
          .orderBy(t.remoteId)
          .limit(1)
          .offset(STRIDE - 1)
        yield await db
          .select({ id: t.id, remoteId: t.remoteId, pass: t.pass })
          .from(t)
          .where(
            and(
              within,
              gt(t.remoteId, from),
              edge === undefined ? undefined : lte(t.remoteId, edge.remoteId),
              lt(t.pass, pass),
              isNull(t.deletedAt)
            )
          )
        if (edge === undefined) return
        from = edge.remoteId
        await new Promise(setImmediate)
      }
    },

    /** Any row that the listing showed. */
    async shown(ownerId: number, site: string, pass: number): Promise<string | undefined> {
      const [row] = await db
        .select({ remoteId: t.remoteId })
        .from(t)
        .where(and(eq(t.ownerId, ownerId), eq(t.site, site), eq(t.pass, pass), isNull(t.deletedAt)))
        .limit(1)
      return row?.remoteId
    },

    /** Turns rows into tombstones that hold nothing but their name, unless they were seen again since. @returns how many */
    *burying(ownerId: number, rows: readonly Missing[]): Steps<number> {
      let seq = yield* feed.holding(ownerId)
      let buried = 0
      const emptied = Object.fromEntries(
        contents.map(([name, column]) => [name, column.notNull ? '' : null])
      )
      for (const { id, pass } of rows) {
        seq++
        const gone = yield db
          .update(t)
          .set({
            ...emptied,
            seq,
            deletedAt: new Date(now()),
            updatedAt: new Date(now()),
            revision: sql`${t.revision} + 1`
          })
          .where(and(eq(t.id, id), eq(t.pass, pass), isNull(t.deletedAt)))
          .returning({ id: t.id })
        buried += gone.length
      }
      if (buried > 0) yield* feed.advancing(ownerId, rows.length)
      return buried
    },

    /** Takes out some tombstones from before `before`. @returns whether there may be more */
    async purge(before: Date): Promise<boolean> {
      return await inSteps(function* (tx) {
        const old = yield tx
          .select({ id: t.id, ownerId: t.ownerId, seq: t.seq })
          .from(t)
          .where(and(isNotNull(t.deletedAt), lt(t.deletedAt, before)))
          .limit(500)
        const latest = new Map<number, number>()
        for (const { owner_id: owner, seq } of old) {
          latest.set(Number(owner), Math.max(latest.get(Number(owner)) ?? 0, Number(seq)))
        }
        for (const [owner, seq] of latest) yield feed.forgetting(owner, seq)(tx)
        if (old.length > 0) {
          yield tx.delete(t).where(
            inArray(
              t.id,
              old.map(({ id }) => Number(id))
            )
          )
        }
        return old.length === 500
      })
    },

    /** Erases what was copied for an owner, from all sites or from these; what was posted by hand stays. */
    erasing:
      (ownerId: number, cloudIds?: string[]): WithStatement =>
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

/** Rendering a statement for a few hundred rows takes longer than running it, and pages are nearly always full. */
function bySize(make: (size: number) => Prepared): (size: number) => Prepared {
  const known = new Map<number, Prepared>()
  return (size) => {
    const found = known.get(size) ?? make(size)
    if (known.size >= MOST_SIZES && !known.has(size)) known.clear()
    known.set(size, found)
    return found
  }
}
