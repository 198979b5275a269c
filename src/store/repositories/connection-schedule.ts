import { and, eq, lte, not } from 'drizzle-orm'
import {
  combineStates,
  type ConnectionState,
  type GrantState,
  type LocalState
} from '../../model/states.ts'
import type { Engine } from '../engine.ts'
import { needsOneOf } from './connection-signatures.ts'
import { selectPlannedColumns, type PlannedConnectionRow } from './connection-plans.ts'

/** When the scheduler syncs each connection next. */
export function createConnectionScheduleMethods({
  db,
  tables: { connections, grants },
  write
}: Engine) {
  return {
    /**
     * Connections due for a scheduled sync, longest overdue first.
     *
     * @param exceptKeyIds vault keys that this instance lacks: their grants are left to others
     */
    async listDue(
      at: Date,
      limit: number,
      exceptKeyIds: readonly string[] = []
    ): Promise<Array<PlannedConnectionRow & { state: ConnectionState; dueAt: Date }>> {
      const rows = await db
        .select({
          ...selectPlannedColumns({ connections, grants }),
          dueAt: connections.syncDueAt,
          state: connections.state,
          grantState: grants.state
        })
        .from(connections)
        .innerJoin(grants, eq(connections.grantId, grants.id))
        .where(
          and(
            lte(connections.syncDueAt, at),
            exceptKeyIds.length === 0
              ? undefined
              : not(needsOneOf({ connections, grants }, exceptKeyIds))
          )
        )
        .orderBy(connections.syncDueAt)
        .limit(limit)
      return rows.map(({ dueAt, state, grantState, ...row }) => ({
        ...row,
        state: combineStates(grantState as GrantState, state as LocalState),
        dueAt: dueAt as Date
      }))
    },

    /**
     * Claims a due connection by moving its next due time.
     *
     * @returns false if another instance has claimed it
     */
    async claimSchedule(
      userId: number,
      provider: string,
      dueAt: Date,
      nextDueAt: Date | null
    ): Promise<boolean> {
      return (
        (
          await write(() =>
            db
              .update(connections)
              .set({ syncDueAt: nextDueAt })
              .where(
                and(
                  eq(connections.userId, userId),
                  eq(connections.provider, provider),
                  eq(connections.syncDueAt, dueAt)
                )
              )
              .returning({ id: connections.id })
          )
        ).length === 1
      )
    },

    /** @param at null: never */
    async schedule(userId: number, provider: string, at: Date | null): Promise<void> {
      await write(() =>
        db
          .update(connections)
          .set({ syncDueAt: at })
          .where(and(eq(connections.userId, userId), eq(connections.provider, provider)))
      )
    }
  }
}
