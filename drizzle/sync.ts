import { sql } from 'drizzle-orm'
import type { ColumnKit, UserIdReference } from './sqlite/columns.ts'

/** Tables for sync runs, the progress of each collection, rate budgets and change feeds. */
export function defineSyncTables(
  { table, unique, index, id, integer, text, instant }: ColumnKit,
  userId: UserIdReference
) {
  const runs = table(
    'runs',
    {
      id: id(),
      ownerId: integer('owner_id').notNull().references(userId, { onDelete: 'cascade' }),
      provider: text('provider').notNull(),
      /** The requested mode: `due`, `incremental` or `full`. */
      mode: text('mode').notNull().default('due'),
      /**
       * Active: `queued`, `running` or `parked`; ended: `succeeded`, `partial`, `failed` or
       * `cancelled`.
       */
      state: text('state').notNull(),
      /** `owner/provider` while the run is active; the unique index allows one at a time. */
      activeKey: text('active_key'),
      /**
       * The worker that owns the run, new at each claim, and the end of its lease on the
       * database's clock.
       */
      worker: text('worker'),
      leaseUntil: instant('lease_until'),
      /** When a parked run resumes. */
      parkedUntil: instant('parked_until'),
      seen: integer('seen').notNull(),
      added: integer('added').notNull(),
      changed: integer('changed').notNull(),
      removed: integer('removed').notNull().default(0),
      held: integer('held').notNull().default(0),
      skipped: integer('skipped').notNull().default(0),
      calls: integer('calls').notNull(),
      points: integer('points').notNull().default(0),
      /** JSON: the current progress, `{ collection, site, done, expected }`. */
      progress: text('progress'),
      /** JSON: completed parts, which a resumed run skips. */
      done: text('done').notNull().default('[]'),
      /** JSON: the first hundred failures. */
      failures: text('failures').notNull().default('[]'),
      errorCode: text('error_code'),
      errorDetail: text('error_detail'),
      createdAt: instant('created_at').notNull(),
      startedAt: instant('started_at'),
      finishedAt: instant('finished_at')
    },
    (t) => [
      unique('runs_active').on(t.activeKey),
      index('runs_owner').on(t.ownerId, t.provider, t.id),
      index('runs_finished').on(t.finishedAt),
      // Lists of all owners, newest first.
      index('runs_created').on(t.createdAt, t.id),
      index('runs_ended')
        .on(t.state, t.createdAt, t.id)
        .where(sql`${t.activeKey} is null`),
      // Active runs are few compared with ended ones: claimed in id order, parked ones by their
      // resume time.
      index('runs_waiting')
        .on(t.id)
        .where(sql`${t.activeKey} is not null`),
      index('runs_parked')
        .on(t.state, t.parkedUntil)
        .where(sql`${t.activeKey} is not null`)
    ]
  )

  /** Progress of syncing one collection of one site for one owner. */
  const checkpoints = table(
    'checkpoints',
    {
      id: id(),
      ownerId: integer('owner_id').notNull().references(userId, { onDelete: 'cascade' }),
      provider: text('provider').notNull(),
      site: text('site').notNull(),
      collection: text('collection').notNull(),
      /** The latest full listing that was started, and the latest two that were complete. */
      generation: integer('pass').notNull().default(0),
      completeGeneration: integer('complete_pass').notNull().default(0),
      previousGeneration: integer('earlier_pass').notNull().default(0),
      /** Where the current listing resumes; null if none is running. */
      cursor: text('cursor'),
      /** When it started, on Atlassian's clock. */
      listingStartedAt: instant('begun_at'),
      /** Why it cannot be complete; null if nothing says so. */
      flaw: text('flaw'),
      /** Items it has listed so far, and the count of the latest complete listing. */
      listed: integer('listed').notNull().default(0),
      listedBefore: integer('listed_before').notNull().default(0),
      completeAt: instant('complete_at'),
      /**
       * When the latest complete listing or incremental read began, on Atlassian's clock: what was
       * changed before is in the copy.
       */
      readAt: instant('read_at'),
      /** The time of the newest change seen; incremental syncs continue from it. */
      watermark: instant('watermark'),
      /** The watermark up to which everything was read again after the overlap; null if none. */
      settledAt: instant('settled_at'),
      /** The optional content of the rows, such as `bodies`; a change requires a full listing. */
      bodyMode: text('variant').notNull().default(''),
      /** JSON: ids of failed items to retry. */
      retry: text('retry').notNull().default('[]'),
      /** Number of held deletions, and since when; null if there are none. */
      heldCount: integer('held_count').notNull().default(0),
      heldAt: instant('held_at')
    },
    (t) => [unique('checkpoints_part').on(t.ownerId, t.provider, t.site, t.collection)]
  )

  /**
   * Shared rate-limit state: one row per app, site of an app and endpoint of a site that was
   * refused or counted.
   */
  const budgets = table('budgets', {
    name: text('name').primaryKey(),
    /** The client id, `app`, `site`, `account`, `endpoint`, `product` or `pace`, and which. */
    app: text('app').notNull().default(''),
    scope: text('scope').notNull().default(''),
    target: text('target').notNull().default(''),
    /** Calls are blocked until then, on the database's clock, and the refusal that caused it. */
    until: instant('until').notNull(),
    owner: text('owner').notNull().default(''),
    /** The reason or the policy that blocks, as Atlassian named it. */
    reason: text('reason'),
    /** Consecutive refusals. */
    consecutiveRefusals: integer('strikes').notNull().default(0),
    /** Points used in an hour, counted since the epoch. */
    hour: integer('hour').notNull().default(0),
    pointsUsed: integer('used').notNull().default(0),
    /** The quota that Atlassian reported; null if it did not. */
    quota: integer('quota')
  })

  /**
   * Position of an owner's change feed: the latest sequence number, and the latest that was
   * pruned.
   */
  const feeds = table('feeds', {
    ownerId: integer('owner_id').primaryKey().references(userId, { onDelete: 'cascade' }),
    seq: integer('seq').notNull(),
    prunedSeq: integer('forgotten').notNull()
  })

  return { runs, checkpoints, budgets, feeds }
}
