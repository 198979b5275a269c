import { addJitter } from '../lib/backoff.ts'
import type { PlannedConnectionRow } from '../store/repositories/connection-plans.ts'
import type { NextSync } from '../store/repositories/sync-run-leases.ts'
import type { RunOutcome, SyncRun } from '../store/repositories/sync-runs.ts'
import { toPlannedRow } from './connection-plans.ts'
import type { RunContext, SyncSettings } from './context.ts'
import { getMeasuredPoints } from './measured-points.ts'
import { INTERVAL_JITTER } from './planner.ts'

/** Decides when a connection is synced after a run. */
export function createNextRuns({ store, plans, intervalMs, now }: SyncSettings) {
  /** When a connection is due next: its planned interval plus jitter. */
  async function computeNextDueAt(connection: PlannedConnectionRow): Promise<Date | null> {
    if (intervalMs === 0) return null
    const { routineMs } = await plans.get(connection)
    return new Date(now() + addJitter(routineMs, INTERVAL_JITTER))
  }

  return {
    computeNextDueAt,

    /** What is saved with the end of a run; undefined if its connection is gone. */
    async planNext(context: RunContext, { state }: RunOutcome): Promise<NextSync | undefined> {
      const { ownerId, provider } = context.run
      const connectionWithGrant = await store.connections.get(ownerId, provider)
      if (connectionWithGrant === undefined) return undefined
      const points = state === 'failed' ? {} : getMeasuredPoints(context)
      const planned = { ...toPlannedRow(connectionWithGrant), ...points }
      return { ...points, syncDueAt: await computeNextDueAt(planned) }
    },

    /**
     * If the options changed during the run, the next run starts at once.
     *
     * @param isScheduled whether the run ended, and saved when the connection is due next
     */
    async scheduleNext(
      { ownerId, provider }: SyncRun,
      optionsAtStart: string,
      isScheduled: boolean
    ): Promise<void> {
      const connectionWithGrant = await store.connections.get(ownerId, provider)
      if (connectionWithGrant === undefined) return
      if (!isScheduled) {
        const dueAt = await computeNextDueAt(toPlannedRow(connectionWithGrant))
        await store.connections.schedule(ownerId, provider, dueAt)
      }
      if (JSON.stringify(connectionWithGrant.connection.options) !== optionsAtStart) {
        await store.runs.enqueue(ownerId, provider)
      }
    }
  }
}
