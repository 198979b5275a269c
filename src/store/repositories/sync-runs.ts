import { and, asc, eq, inArray, isNotNull, isNull, lt, lte, or, sql } from 'drizzle-orm'
import type { ErrorCode } from '../../lib/errors.ts'
import type { AuditLog } from './audit-log.ts'
import type { Engine, Statement, StatementBuilder } from '../engine.ts'

export type RunMode = 'due' | 'incremental' | 'full'
export type RunState =
  'queued' | 'running' | 'parked' | 'succeeded' | 'partial' | 'failed' | 'cancelled'
/** States of a run that has not ended. */
export const ACTIVE_STATES: readonly RunState[] = ['queued', 'running', 'parked']

/** One failure. Without a remote id, it concerns the whole collection of the site. */
export interface RunFailure {
  collection: string
  site: string
  remoteId: string | null
  code: string
  detail: string
}

/** Progress of the current collection. */
interface CollectionProgress {
  collection: string
  site: string
  done: number
  expected: number | null
}

/** Counts and progress of a run. */
export interface RunCounters {
  seen: number
  added: number
  changed: number
  removed: number
  held: number
  skipped: number
  /** Requests sent to Atlassian, and their points of the hourly quota. */
  calls: number
  points: number
  progress: CollectionProgress | null
  /** The completed parts, as `site/collection`. */
  done: string[]
  failures: RunFailure[]
}

export interface SyncRun extends RunCounters {
  id: number
  ownerId: number
  provider: string
  mode: RunMode
  state: RunState
  worker: string | null
  parkedUntil: Date | null
  errorCode: string | null
  errorDetail: string | null
  createdAt: Date
  startedAt: Date | null
  finishedAt: Date | null
}

/** The result of a run. `cause` is for the log. */
export interface RunOutcome {
  state: 'succeeded' | 'partial' | 'failed'
  code?: ErrorCode
  detail?: string
  cause?: unknown
}

/**
 * A worker renews its lease with each page and every few seconds in between. After this long
 * without a renewal, another worker may claim the run.
 */
const LEASE_TTL_MS = 15_000

const COUNTERS = [
  'seen',
  'added',
  'changed',
  'removed',
  'held',
  'skipped',
  'calls',
  'points',
  'progress',
  'done',
  'failures'
] as const

export function createSyncRunRepository(
  { db, tables: { runs }, write, batch, nowPlus, prepare, skipLocked }: Engine,
  now: () => number,
  { runAudited }: AuditLog
) {
  const activeKey = (ownerId: number, provider: string) => `${ownerId}/${provider}`
  const toRun = ({ progress, done, failures, ...row }: typeof runs.$inferSelect): SyncRun => ({
    ...row,
    mode: row.mode as RunMode,
    state: row.state as RunState,
    progress: progress === null ? null : (JSON.parse(progress) as CollectionProgress),
    done: JSON.parse(done) as string[],
    failures: JSON.parse(failures) as RunFailure[]
  })
  const toColumns = ({ progress, done, failures, ...counts }: RunCounters) => ({
    ...counts,
    progress: progress === null ? null : JSON.stringify(progress),
    done: JSON.stringify(done),
    failures: JSON.stringify(failures)
  })
  /** False for a run that has ended or that another worker has claimed. */
  const ownedByWorker = ({ id, worker }: Pick<SyncRun, 'id' | 'worker'>) =>
    and(eq(runs.id, id), eq(runs.worker, worker ?? ''), isNotNull(runs.activeKey))
  // Prepared, because these statements run with each page.
  const [id, worker] = ['id', 'worker'].map((name) => sql.placeholder(name) as never)
  const ownedRun = and(
    eq(runs.id, id as never),
    eq(runs.worker, worker as never),
    isNotNull(runs.activeKey)
  )
  const lockRun = prepare(
    db
      .update(runs)
      .set({ leaseUntil: nowPlus(LEASE_TTL_MS) })
      .where(ownedRun)
      .returning({ id: runs.id })
  )
  const saveCounters = prepare(
    db
      .update(runs)
      .set(Object.fromEntries(COUNTERS.map((name) => [name, sql`${sql.placeholder(name)}`])))
      .where(ownedRun)
  )
  const noLease = { worker: null, leaseUntil: null }

  const failActiveStatement =
    (
      ownerId: number,
      provider: string,
      error: { code: ErrorCode; detail: string }
    ): StatementBuilder =>
    (tx) =>
      tx
        .update(runs)
        .set({
          state: 'failed',
          activeKey: null,
          parkedUntil: null,
          ...noLease,
          errorCode: error.code,
          errorDetail: error.detail,
          finishedAt: new Date(now())
        })
        .where(eq(runs.activeKey, activeKey(ownerId, provider)))

  return {
    /** Queues a run, or returns the active run of this owner and product: there is at most one. */
    async enqueue(
      ownerId: number,
      provider: string,
      mode: RunMode = 'due'
    ): Promise<{ run: SyncRun; created: boolean }> {
      const key = activeKey(ownerId, provider)
      for (let attempt = 0; attempt < 3; attempt++) {
        const [active] = await db.select().from(runs).where(eq(runs.activeKey, key))
        if (active !== undefined) return { run: toRun(active), created: false }
        const [inserted] = await write(() =>
          db
            .insert(runs)
            .values({
              ownerId,
              provider,
              mode,
              state: 'queued',
              activeKey: key,
              seen: 0,
              added: 0,
              changed: 0,
              calls: 0,
              createdAt: new Date(now())
            })
            .onConflictDoNothing({ target: runs.activeKey })
            .returning()
        )
        // No row: a concurrent insert won. Read again.
        if (inserted !== undefined) return { run: toRun(inserted), created: true }
      }
      throw new Error('A run could be neither queued nor found')
    },

    async get(id: number, provider: string): Promise<SyncRun | undefined> {
      const [row] = await db
        .select()
        .from(runs)
        .where(and(eq(runs.id, id), eq(runs.provider, provider)))
      return row === undefined ? undefined : toRun(row)
    },

    /** Newest first, older than the run with the id `before`. */
    async list(
      ownerId: number,
      provider: string,
      limit: number,
      before = Number.MAX_SAFE_INTEGER
    ): Promise<SyncRun[]> {
      return (
        await db
          .select()
          .from(runs)
          .where(and(eq(runs.ownerId, ownerId), eq(runs.provider, provider), lt(runs.id, before)))
          .orderBy(sql`${runs.id} desc`)
          .limit(limit)
      ).map(toRun)
    },

    /**
     * Runs that a worker may claim, oldest first: queued, parked and due, or with an expired
     * lease.
     */
    async listClaimable(limit: number): Promise<Array<Pick<SyncRun, 'id' | 'ownerId'>>> {
      return await db
        .select({ id: runs.id, ownerId: runs.ownerId })
        .from(runs)
        .where(claimableCondition())
        .orderBy(asc(runs.id))
        .limit(limit)
    },

    /** When the next parked run is due. */
    async getNextResumeAt(): Promise<Date | undefined> {
      const [row] = await db
        .select({ at: runs.parkedUntil })
        .from(runs)
        .where(and(isNotNull(runs.activeKey), eq(runs.state, 'parked')))
        .orderBy(runs.parkedUntil)
        .limit(1)
      return row?.at ?? undefined
    },

    /**
     * Claims a run.
     *
     * @returns undefined if another worker holds it or is claiming it, or if it has ended
     */
    async claim(id: number, worker: string): Promise<SyncRun | undefined> {
      const [row] = await write(() =>
        db
          .update(runs)
          .set({
            state: 'running',
            worker,
            leaseUntil: nowPlus(LEASE_TTL_MS),
            parkedUntil: null,
            errorCode: null,
            errorDetail: null,
            startedAt: sql`coalesce(${runs.startedAt}, ${sql.param(new Date(now()), runs.startedAt)})`
          })
          .where(
            sql`${runs.id} in (${db
              .select({ id: runs.id })
              .from(runs)
              .where(and(eq(runs.id, id), claimableCondition()))} ${skipLocked})`
          )
          .returning()
      )
      return row === undefined ? undefined : toRun(row)
    },

    /**
     * Locks a run for the rest of the transaction and renews its lease. Returns no row if this
     * worker no longer owns the run.
     */
    lockStatement: ({ id, worker }: Pick<SyncRun, 'id' | 'worker'>): Statement =>
      lockRun.bind({ id, worker: worker ?? '' }),

    /** @returns false if this worker no longer owns the run */
    async isOwned(run: Pick<SyncRun, 'id' | 'worker'>): Promise<boolean> {
      return (await db.select({ id: runs.id }).from(runs).where(ownedByWorker(run))).length === 1
    },

    async renewLease(run: Pick<SyncRun, 'id' | 'worker'>): Promise<boolean> {
      return (
        (
          await write(() =>
            db
              .update(runs)
              .set({ leaseUntil: nowPlus(LEASE_TTL_MS) })
              .where(ownedByWorker(run))
              .returning({ id: runs.id })
          )
        ).length === 1
      )
    },

    /** Saves the progress in the transaction that makes it. */
    saveProgressStatement: (
      { id, worker }: Pick<SyncRun, 'id' | 'worker'>,
      counters: RunCounters
    ): Statement => saveCounters.bind({ id, worker: worker ?? '', ...toColumns(counters) }),

    async finish(
      run: Pick<SyncRun, 'id' | 'worker'>,
      counters: RunCounters,
      { state, code, detail }: RunOutcome
    ): Promise<void> {
      await write(() =>
        db
          .update(runs)
          .set({
            ...toColumns(counters),
            state,
            activeKey: null,
            ...noLease,
            errorCode: code ?? null,
            errorDetail: detail ?? null,
            finishedAt: new Date(now())
          })
          .where(ownedByWorker(run))
      )
    },

    /** Parks a run until `until`, or queues it again if `until` is null. */
    async suspend(
      run: Pick<SyncRun, 'id' | 'worker'>,
      counters: RunCounters,
      until: Date | null,
      reason?: { code: ErrorCode; detail: string }
    ): Promise<void> {
      await write(() =>
        db
          .update(runs)
          .set({
            ...toColumns(counters),
            state: until === null ? 'queued' : 'parked',
            ...noLease,
            parkedUntil: until,
            errorCode: reason?.code ?? null,
            errorDetail: reason?.detail ?? null
          })
          .where(ownedByWorker(run))
      )
    },

    /**
     * Cancels an active run, whichever worker owns it.
     *
     * @returns false if the run had already ended
     */
    async cancel(id: number, detail: string): Promise<boolean> {
      return await runAudited(function* (tx, record) {
        const cancelled = yield tx
          .update(runs)
          .set({
            state: 'cancelled',
            activeKey: null,
            ...noLease,
            parkedUntil: null,
            errorCode: 'cancelled',
            errorDetail: detail,
            finishedAt: new Date(now())
          })
          .where(and(eq(runs.id, id), isNotNull(runs.activeKey)))
          .returning({ ownerId: runs.ownerId, provider: runs.provider })
        record(
          ...cancelled.map(
            ({ owner_id: userId, provider }) =>
              ({
                action: 'run_cancelled',
                userId: Number(userId),
                product: String(provider),
                detail: { run: id }
              }) as const
          )
        )
        return cancelled.length === 1
      })
    },

    /** Fails the active run of an owner and product, whichever worker owns it. */
    failActiveStatement,

    async failActive(
      ...args: [ownerId: number, provider: string, error: { code: ErrorCode; detail: string }]
    ): Promise<void> {
      await batch((tx) => [failActiveStatement(...args)(tx)])
    },

    /**
     * Deletes one batch of runs that ended before `before`.
     *
     * @returns whether more may remain
     */
    async purge(before: Date): Promise<boolean> {
      const expired = db
        .select({ id: runs.id })
        .from(runs)
        .where(lt(runs.finishedAt, before))
        .limit(500)
      return (
        (
          await write(() =>
            db.delete(runs).where(inArray(runs.id, expired)).returning({ id: runs.id })
          )
        ).length === 500
      )
    }
  }

  function claimableCondition() {
    return and(
      isNotNull(runs.activeKey),
      or(
        eq(runs.state, 'queued'),
        and(eq(runs.state, 'parked'), lte(runs.parkedUntil, new Date(now()))),
        and(
          eq(runs.state, 'running'),
          or(isNull(runs.leaseUntil), lte(runs.leaseUntil, nowPlus(0)))
        )
      )
    )
  }
}
