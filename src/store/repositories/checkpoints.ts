import { and, eq, inArray, isNotNull, sql } from 'drizzle-orm'
import type { Engine, PreparedStatement, BindValue, StatementBuilder } from '../engine.ts'

/** One collection of one site, synced for one owner. */
export interface Partition {
  ownerId: number
  provider: string
  site: string
  collection: string
}

/** How far the sync of a partition is. A generation is the number of a full listing. */
export interface Checkpoint {
  /** The latest generation that was started; below, the latest two that were complete. */
  generation: number
  completeGeneration: number
  previousGeneration: number
  /** Where the current listing resumes; null if none is running. */
  cursor: string | null
  listingStartedAt: Date | null
  /** Why the current listing cannot be complete: see src/sync/listing-flaws.ts. */
  flaw: string | null
  listed: number
  listedBefore: number
  completeAt: Date | null
  /** When the latest complete listing or incremental read began, on Atlassian's clock. */
  readAt: Date | null
  /** The time of the newest change seen. */
  watermark: Date | null
  /** The watermark whose window need not be read again; null if there is none. */
  settledAt: Date | null
  /** Which optional content the rows hold. */
  bodyMode: string
  /** Ids of items that failed. */
  retry: string[]
  heldCount: number
  heldAt: Date | null
}

/** Deletions waiting for confirmation. */
export interface HeldDeletions {
  provider: string
  site: string
  collection: string
  count: number
  since: Date
}

export const INITIAL_CHECKPOINT: Checkpoint = {
  generation: 0,
  completeGeneration: 0,
  previousGeneration: 0,
  cursor: null,
  listingStartedAt: null,
  flaw: null,
  listed: 0,
  listedBefore: 0,
  completeAt: null,
  readAt: null,
  watermark: null,
  settledAt: null,
  bodyMode: '',
  retry: [],
  heldCount: 0,
  heldAt: null
}

/** Stores where each partition's sync resumes. */
export function createCheckpointRepository({ db, tables: { checkpoints }, prepare }: Engine) {
  const fields = Object.keys(INITIAL_CHECKPOINT) as Array<keyof Checkpoint>
  const placeholder = (name: string) => sql.placeholder(name)
  const columns = Object.fromEntries(
    ['ownerId', 'provider', 'site', 'collection', ...fields].map((name) => [
      name,
      placeholder(name)
    ])
  )
  const upsert: PreparedStatement = prepare(
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
  const invalidate = prepare(
    db
      .update(checkpoints)
      .set({ completeAt: null, cursor: null, flaw: null, watermark: null, settledAt: null })
      .where(
        and(
          eq(checkpoints.ownerId, sql`${placeholder('ownerId')}`),
          eq(checkpoints.provider, sql`${placeholder('provider')}`)
        )
      )
  )
  const matchesPartition = ({ ownerId, provider, site, collection }: Partition) =>
    and(
      eq(checkpoints.ownerId, ownerId),
      eq(checkpoints.provider, provider),
      eq(checkpoints.site, site),
      eq(checkpoints.collection, collection)
    )

  return {
    async get(partition: Partition): Promise<Checkpoint> {
      const [row] = await db.select().from(checkpoints).where(matchesPartition(partition))
      return row === undefined
        ? INITIAL_CHECKPOINT
        : { ...row, retry: JSON.parse(row.retry) as string[] }
    },

    /** Saves a checkpoint in the transaction that saves the items read up to it. */
    saveStatement: (partition: Partition, { retry, cursor, ...rest }: Checkpoint) =>
      upsert.bind({
        ...partition,
        ...rest,
        cursor: replaceNul(cursor),
        retry: JSON.stringify(retry)
      } as unknown as Record<string, BindValue>),

    /** Lists an owner's held deletions. */
    async listHeldDeletions(ownerId: number): Promise<HeldDeletions[]> {
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

    /** Records that a person has confirmed the deletions. */
    confirmStatement:
      (ownerId: number, provider: string): StatementBuilder =>
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

    /** Makes the next syncs full ones: another account may see other items. */
    invalidateStatement:
      (ownerId: number, provider: string): StatementBuilder =>
      () =>
        invalidate.bind({ ownerId, provider }),

    /** Resets these sites of an owner, or all. */
    deleteStatement:
      (ownerId: number, provider: string, cloudIds?: string[]): StatementBuilder =>
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

/**
 * PostgreSQL cannot store NUL. A cursor that contains one is not Atlassian's, which refuses it
 * in the replaced form too.
 */
function replaceNul(cursor: string | null): string | null {
  return cursor?.replaceAll('\0', '\uFFFD') ?? null
}
