import { and, eq, inArray, isNotNull, sql } from 'drizzle-orm'
import type { Engine, Prepared, Value, WithStatement } from '../engine.ts'

/** Which copying: one collection of one site, for one owner. */
export interface Part {
  ownerId: number
  provider: string
  site: string
  collection: string
}

/** How far the copying is. Passes are numbers of full listings. */
export interface Checkpoint {
  /** The latest that was begun; the latest two that were complete. */
  pass: number
  completePass: number
  earlierPass: number
  /** Where the one under way goes on; null when none is. */
  cursor: string | null
  begunAt: Date | null
  listed: number
  listedBefore: number
  completeAt: Date | null
  /** The newest change that was seen. */
  watermark: Date | null
  /** What the rows hold besides the usual. */
  variant: string
  /** Ids of items that failed. */
  retry: string[]
  heldCount: number
  heldAt: Date | null
}

/** Deletions that are held back. */
export interface Held {
  provider: string
  site: string
  collection: string
  count: number
  since: Date
}

export const FIRST: Checkpoint = {
  pass: 0,
  completePass: 0,
  earlierPass: 0,
  cursor: null,
  begunAt: null,
  listed: 0,
  listedBefore: 0,
  completeAt: null,
  watermark: null,
  variant: '',
  retry: [],
  heldCount: 0,
  heldAt: null
}

/** Where each copying is, so that it goes on there and nowhere else. */
export function checkpoints({ db, tables: { checkpoints }, prepare }: Engine) {
  const fields = Object.keys(FIRST) as Array<keyof Checkpoint>
  const holder = (name: string) => sql.placeholder(name)
  const columns = Object.fromEntries(
    ['ownerId', 'provider', 'site', 'collection', ...fields].map((name) => [name, holder(name)])
  )
  const save: Prepared = prepare(
    db
      .insert(checkpoints)
      .values(columns as unknown as typeof checkpoints.$inferInsert)
      .onConflictDoUpdate({
        target: [
          checkpoints.ownerId,
          checkpoints.provider,
          checkpoints.site,
          checkpoints.collection
        ],
        set: Object.fromEntries(
          fields.map((name) => [name, sql.raw(`excluded."${checkpoints[name].name}"`)])
        )
      })
  )
  const of = ({ ownerId, provider, site, collection }: Part) =>
    and(
      eq(checkpoints.ownerId, ownerId),
      eq(checkpoints.provider, provider),
      eq(checkpoints.site, site),
      eq(checkpoints.collection, collection)
    )

  return {
    async get(part: Part): Promise<Checkpoint> {
      const [row] = await db.select().from(checkpoints).where(of(part))
      return row === undefined ? FIRST : { ...row, retry: JSON.parse(row.retry) as string[] }
    },

    /** Moves it: to be run in the transaction that saves what was read up to there. */
    saving: (part: Part, { retry, cursor, ...rest }: Checkpoint) =>
      save.bind({
        ...part,
        ...rest,
        cursor: kept(cursor),
        retry: JSON.stringify(retry)
      } as unknown as Record<string, Value>),

    /** What is held back for an owner. */
    async held(ownerId: number): Promise<Held[]> {
      const rows = await db
        .select()
        .from(checkpoints)
        .where(and(eq(checkpoints.ownerId, ownerId), isNotNull(checkpoints.heldAt)))
      return rows.map(({ provider, site, collection, heldCount, heldAt }) => ({
        provider,
        site,
        collection,
        count: heldCount,
        since: heldAt as Date
      }))
    },

    /** Somebody has looked and says that the deletions are right. */
    confirming:
      (ownerId: number, provider: string): WithStatement =>
      (tx) =>
        tx
          .update(checkpoints)
          .set({ heldAt: null, heldCount: 0 })
          .where(
            and(
              eq(checkpoints.ownerId, ownerId),
              eq(checkpoints.provider, provider),
              isNotNull(checkpoints.heldAt)
            )
          )
          .returning({ id: checkpoints.id }),

    /** Makes the next copies full ones: another account may see what the one before did not. */
    doubting:
      (ownerId: number, provider: string): WithStatement =>
      (tx) =>
        tx
          .update(checkpoints)
          .set({ completeAt: null, cursor: null, watermark: null })
          .where(and(eq(checkpoints.ownerId, ownerId), eq(checkpoints.provider, provider))),

    /** Begins anew for these sites of an owner, or for all. */
    forgetting:
      (ownerId: number, provider: string, cloudIds?: string[]): WithStatement =>
      (tx) =>
        tx
          .delete(checkpoints)
          .where(
            and(
              eq(checkpoints.ownerId, ownerId),
              eq(checkpoints.provider, provider),
              cloudIds === undefined ? undefined : inArray(checkpoints.site, cloudIds)
            )
          )
  }
}

/** Not every engine keeps a NUL. A cursor that holds one is none of Atlassian's, which refuses it in this form too. */
function kept(cursor: string | null): string | null {
  return cursor?.replaceAll('\0', '\uFFFD') ?? null
}
