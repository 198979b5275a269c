import { and, eq, getTableColumns, inArray, isNotNull, lt, ne, sql } from 'drizzle-orm'
import type { ErrorCode } from '../../lib/errors.ts'
import { retryOnConflict } from '../../lib/retry.ts'
import type { AuditLog } from './audit-log.ts'
import type { Engine, RawRow, Statement, StatementBuilder } from '../engine.ts'
import { createRowMapper, toPlaceholders } from '../row-mapper.ts'
import {
  createSyncRunLeaseMethods,
  NO_LEASE,
  ownedByPlaceholders,
  type ClaimedRun
} from './sync-run-leases.ts'
import { toColumns, toRun, type RunCounters, type RunMode, type SyncRun } from './sync-run-types.ts'

export type * from './sync-run-types.ts'
export { ACTIVE_STATES } from './sync-run-types.ts'

/** Attempts if concurrent requests queue a run and it ends in between. */
const MAX_ENQUEUE_ATTEMPTS = 3

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

/** The value of `runs.activeKey` while a run of the product is active. */
export function getActiveRunKey(ownerId: number, provider: string): string {
  return `${ownerId}/${provider}`
}

export function createSyncRunRepository(
  engine: Engine,
  now: () => number,
  { runAudited }: AuditLog
) {
  const {
    db,
    tables: { runs },
    write,
    writePrepared,
    batch,
    prepare
  } = engine
  const toRow = createRowMapper(getTableColumns(runs))
  const toFirst = ([row]: RawRow[]) => (row === undefined ? undefined : toRun(toRow(row)))
  const selectActive = prepare(
    db
      .select()
      .from(runs)
      .where(eq(runs.activeKey, sql`${sql.placeholder('activeKey')}`))
  )
  const { ownerId, provider, mode, activeKey, createdAt } = getTableColumns(runs)
  const insert = prepare(
    db
      .insert(runs)
      .values({
        ...toPlaceholders({ ownerId, provider, mode, activeKey, createdAt }),
        state: 'queued',
        seen: 0,
        added: 0,
        changed: 0,
        calls: 0
      })
      .onConflictDoNothing({ target: runs.activeKey })
      .returning()
  )
  const bindInsert = (owner: number, product: string, runMode: RunMode) =>
    insert.bind({
      ownerId: owner,
      provider: product,
      mode: runMode,
      activeKey: getActiveRunKey(owner, product),
      createdAt: new Date(now())
    })
  // Prepared, because it runs with each page.
  const saveCounters = prepare(
    db
      .update(runs)
      .set(Object.fromEntries(COUNTERS.map((name) => [name, sql`${sql.placeholder(name)}`])))
      .where(ownedByPlaceholders(engine))
  )

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
          ...NO_LEASE,
          errorCode: error.code,
          errorDetail: error.detail,
          finishedAt: new Date(now())
        })
        .where(eq(runs.activeKey, getActiveRunKey(ownerId, provider)))

  return {
    /** Queues a run, or returns the active run of this owner and product: there is at most one. */
    async enqueue(
      ownerId: number,
      provider: string,
      mode: RunMode = 'due'
    ): Promise<{ run: SyncRun; created: boolean }> {
      const key = getActiveRunKey(ownerId, provider)
      const enqueued = await retryOnConflict(async () => {
        const active = toFirst(await selectActive({ activeKey: key }))
        if (active !== undefined) return { run: active, created: false }
        const inserted = toFirst(await writePrepared(bindInsert(ownerId, provider, mode)))
        // No row: a concurrent insert won.
        return inserted === undefined ? undefined : { run: inserted, created: true }
      }, MAX_ENQUEUE_ATTEMPTS)
      if (enqueued === undefined) throw new Error('A run could be neither queued nor found')
      return enqueued
    },

    /** Queues a run in the transaction that makes it possible, unless one is active. */
    enqueueStatement:
      (ownerId: number, provider: string): StatementBuilder =>
      () =>
        bindInsert(ownerId, provider, 'due'),

    async get(id: number, provider: string): Promise<SyncRun | undefined> {
      const [row] = await db
        .select()
        .from(runs)
        .where(and(eq(runs.id, id), eq(runs.provider, provider)))
      return row === undefined ? undefined : toRun(row)
    },

    /** When the owner last asked for a full run that did not fail; undefined if never. */
    async getLastFullRequest(ownerId: number, provider: string): Promise<Date | undefined> {
      const [row] = await db
        .select({ at: runs.createdAt })
        .from(runs)
        .where(
          and(
            eq(runs.ownerId, ownerId),
            eq(runs.provider, provider),
            eq(runs.mode, 'full'),
            ne(runs.state, 'failed')
          )
        )
        .orderBy(sql`${runs.id} desc`)
        .limit(1)
      return row?.at
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

    ...createSyncRunLeaseMethods(engine, now),

    /** Saves the progress in the transaction that makes it. */
    saveProgressStatement: ({ id, worker }: ClaimedRun, counters: RunCounters): Statement =>
      saveCounters.bind({ id, worker: worker ?? '', ...toColumns(counters) }),

    /** Ends the wait of the parked run of an owner and product. */
    async resumeParked(ownerId: number, provider: string): Promise<void> {
      const key = getActiveRunKey(ownerId, provider)
      await write(() =>
        db
          .update(runs)
          .set({ parkedUntil: new Date(now()) })
          .where(and(eq(runs.activeKey, key), eq(runs.state, 'parked')))
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
            ...NO_LEASE,
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
}
