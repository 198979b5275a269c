import {
  and,
  asc,
  eq,
  getTableColumns,
  isNotNull,
  isNull,
  lte,
  or,
  sql,
  type SQL
} from 'drizzle-orm'
import type { ErrorCode } from '../../lib/errors.ts'
import type { Engine, Statement } from '../engine.ts'
import { createRowMapper } from '../row-mapper.ts'
import type { MeasuredPoints } from './connection-plans.ts'
import { needsOneOf } from './connection-signatures.ts'
import {
  toColumns,
  toRun,
  type RunCounters,
  type RunOutcome,
  type SyncRun
} from './sync-run-types.ts'

/** A run and the worker that claimed it. */
export type ClaimedRun = Pick<SyncRun, 'id' | 'worker'>

/** What a run that ended leaves for its connection: when it is due next, and what runs cost. */
export type NextSync = MeasuredPoints & { syncDueAt: Date | null }

/**
 * A worker renews its lease with each page and every few seconds in between. After this long
 * without a renewal, another worker may claim the run.
 */
const LEASE_TTL_MS = 15_000

/** The columns of a run without a worker. */
export const NO_LEASE = { worker: null, leaseUntil: null }

/** Matches a run that this worker owns: it has not ended, and no other worker has claimed it. */
const ownedByWorker = ({ tables: { runs } }: Engine, { id, worker }: ClaimedRun) =>
  and(eq(runs.id, id), eq(runs.worker, worker ?? ''), isNotNull(runs.activeKey))

/** The same with the placeholders `id` and `worker`, for prepared statements. */
export const ownedByPlaceholders = ({ tables: { runs } }: Engine) =>
  and(
    eq(runs.id, sql.placeholder('id') as never),
    eq(runs.worker, sql.placeholder('worker') as never),
    isNotNull(runs.activeKey)
  )

/** Claims of runs by workers, and the leases that keep them. */
export function createSyncRunLeaseMethods(engine: Engine, now: () => number) {
  const {
    db,
    tables: { runs, connections, grants },
    write,
    writePrepared,
    batch,
    nowPlus,
    prepare,
    skipLocked
  } = engine
  // Prepared, because it runs with each page.
  const lockRun = prepare(
    db
      .update(runs)
      .set({ leaseUntil: nowPlus(LEASE_TTL_MS) })
      .where(ownedByPlaceholders(engine))
      .returning({ id: runs.id })
  )

  const claimable = and(
    isNotNull(runs.activeKey),
    or(
      eq(runs.state, 'queued'),
      and(eq(runs.state, 'parked'), lte(runs.parkedUntil, sql`${sql.placeholder('now')}`)),
      and(eq(runs.state, 'running'), or(isNull(runs.leaseUntil), lte(runs.leaseUntil, nowPlus(0))))
    )
  )
  const selectClaimable = (condition: SQL | undefined) =>
    db
      .select({ id: runs.id, ownerId: runs.ownerId })
      .from(runs)
      .where(and(claimable, condition))
      .orderBy(asc(sql`coalesce(${runs.parkedUntil}, ${runs.createdAt})`), asc(runs.id))
      .limit(sql.placeholder('limit'))
  const listAllClaimable = prepare(selectClaimable(undefined))
  const toRow = createRowMapper(getTableColumns(runs))
  const claimRun = prepare(
    db
      .update(runs)
      .set({
        state: 'running',
        worker: sql`${sql.placeholder('worker')}`,
        leaseUntil: nowPlus(LEASE_TTL_MS),
        parkedUntil: null,
        errorCode: null,
        errorDetail: null,
        startedAt: sql`coalesce(${runs.startedAt}, ${sql.placeholder('now')})`
      })
      .where(
        sql`${runs.id} in (${db
          .select({ id: runs.id })
          .from(runs)
          .where(and(eq(runs.id, sql`${sql.placeholder('id')}`), claimable))} ${skipLocked})`
      )
      .returning()
  )
  const selectNextResume = prepare(
    db
      .select({ at: runs.parkedUntil })
      .from(runs)
      .where(and(isNotNull(runs.activeKey), eq(runs.state, 'parked')))
      .orderBy(runs.parkedUntil)
      .limit(1)
  )

  return {
    /**
     * Runs that a worker may claim: queued, parked and due, or with an expired lease. Those that have
     * waited longest come first; a run that was parked has waited since it was due.
     *
     * @param exceptKeyIds vault keys that this instance lacks: runs that need one are left to others
     */
    async listClaimable(
      limit: number,
      exceptKeyIds: readonly string[] = []
    ): Promise<Array<Pick<SyncRun, 'id' | 'ownerId'>>> {
      const values = { now: Math.trunc(now()), limit }
      return exceptKeyIds.length === 0
        ? (await listAllClaimable(values)).map(({ id, owner_id: ownerId }) => ({
            id: Number(id),
            ownerId: Number(ownerId)
          }))
        : await selectClaimable(needsNone(exceptKeyIds)).prepare().execute(values)
    },

    /** When the next parked run is due. */
    async getNextResumeAt(): Promise<Date | undefined> {
      const [row] = await selectNextResume({})
      return row?.parked_until == null ? undefined : new Date(Number(row.parked_until))
    },

    /**
     * Claims a run.
     *
     * @returns undefined if another worker holds it or is claiming it, or if it has ended
     */
    async claim(id: number, worker: string): Promise<SyncRun | undefined> {
      const [row] = await writePrepared(claimRun.bind({ id, worker, now: Math.trunc(now()) }))
      return row === undefined ? undefined : toRun(toRow(row))
    },

    /**
     * Locks a run for the rest of the transaction and renews its lease. Returns no row if this
     * worker no longer owns the run.
     */
    lockStatement: ({ id, worker }: ClaimedRun): Statement =>
      lockRun.bind({ id, worker: worker ?? '' }),

    /**
     * Ends a run, and saves with it what follows for its connection: whoever sees that the run has
     * ended also sees when the next one is due. Does nothing if this worker no longer owns the run.
     *
     * @param next undefined: the connection is left as it is
     */
    async finish(
      run: ClaimedRun & Pick<SyncRun, 'ownerId' | 'provider'>,
      counters: RunCounters,
      { state, code, detail }: RunOutcome,
      next?: NextSync
    ): Promise<void> {
      await batch(
        (tx) =>
          next === undefined
            ? []
            : [
                tx
                  .update(connections)
                  .set(next)
                  .where(
                    and(eq(connections.userId, run.ownerId), eq(connections.provider, run.provider))
                  )
              ],
        (tx) =>
          tx
            .update(runs)
            .set({
              ...toColumns(counters),
              state,
              activeKey: null,
              ...NO_LEASE,
              errorCode: code ?? null,
              errorDetail: detail ?? null,
              finishedAt: new Date(now())
            })
            .where(ownedByWorker(engine, run))
            .returning({ id: runs.id })
      )
    },

    /** Parks a run until `until`, or queues it again if `until` is null. */
    async suspend(
      run: ClaimedRun,
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
            ...NO_LEASE,
            parkedUntil: until,
            errorCode: reason?.code ?? null,
            errorDetail: reason?.detail ?? null
          })
          .where(ownedByWorker(engine, run))
      )
    },

    /** @returns false if this worker no longer owns the run */
    async isOwned(run: ClaimedRun): Promise<boolean> {
      return (
        (await db.select({ id: runs.id }).from(runs).where(ownedByWorker(engine, run))).length === 1
      )
    },

    async renewLease(run: ClaimedRun): Promise<boolean> {
      return (
        (
          await write(() =>
            db
              .update(runs)
              .set({ leaseUntil: nowPlus(LEASE_TTL_MS) })
              .where(ownedByWorker(engine, run))
              .returning({ id: runs.id })
          )
        ).length === 1
      )
    }
  }

  function needsNone(keyIds: readonly string[]) {
    if (keyIds.length === 0) return undefined
    return sql`not exists (select 1 from ${connections}
      join ${grants} on ${grants.id} = ${connections.grantId}
      where ${connections.userId} = ${runs.ownerId} and ${connections.provider} = ${runs.provider}
        and ${needsOneOf({ connections, grants }, keyIds)})`
  }
}
