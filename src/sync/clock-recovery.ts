import { createClockMonitor } from '../lib/clock-monitor.ts'
import { createIntervalJob, type IntervalJob } from '../lib/interval.ts'
import type { SyncSettings } from './context.ts'
import { INTERVAL_JITTER } from './planner.ts'

const CHECK_INTERVAL_MS = 5_000
/**
 * A due time may be this much later than the plan says, because the plan has changed since. Clocks
 * may differ by this much.
 */
const TOLERANCE_MS = 60_000

/**
 * Keeps schedules going after this machine's clock was set back: times that were written before lie
 * in the future, and would wait until the clock gets there. Repairs them when the clock is set, and
 * once at start, when it may have been set while nothing ran.
 *
 * On a shared database, the repair at start waits while this machine's clock is behind the
 * database's: seen from a slow clock, the valid times of the other instances lie in the future.
 *
 * @param monotonic a clock that cannot be set, in ms
 */
export function createClockRecovery(
  settings: SyncSettings,
  monotonic: () => number = () => performance.now()
): IntervalJob {
  const { store, now, log, plans, budget, intervalMs } = settings
  const measureStep = createClockMonitor(now, monotonic)
  let isRepairDue = true
  let hasSeenStep = false
  let hasWarned = false

  async function runOnce(): Promise<void> {
    const stepMs = measureStep()
    if (stepMs !== 0) {
      log.warn(
        { event: 'clock_changed', difference_s: Math.round(stepMs / 1000) },
        stepMs < 0
          ? "This machine's clock was set back. Schedules are corrected."
          : "This machine's clock was set forward, or the machine was asleep."
      )
    }
    if (stepMs < 0) {
      isRepairDue = true
      hasSeenStep = true
      budget.forgetWaits()
    }
    if (!isRepairDue || (!hasSeenStep && (await isClockBehind()))) return
    await store.clockRepair.pullInWaits(now())
    const count = await pullInSchedules()
    isRepairDue = false
    if (count > 0) {
      log.warn(
        { event: 'schedules_corrected', connections: count },
        'Syncs were due later than their intervals allow. They are due now.'
      )
    }
  }

  /** Whether this machine's clock, compared with the database's, is too slow to judge times by. */
  async function isClockBehind(): Promise<boolean> {
    if (!store.isShared) return false
    const lagMs = (await store.clockRepair.readClock()) - now()
    if (lagMs <= TOLERANCE_MS) return false
    if (!hasWarned) {
      log.warn(
        { event: 'clock_behind', difference_s: Math.round(lagMs / 1000) },
        "This machine's clock is behind the database's. Correct it. Schedules are not checked until then."
      )
    }
    hasWarned = true
    return true
  }

  /** @returns the number of connections whose sync was due too late */
  async function pullInSchedules(): Promise<number> {
    if (intervalMs === 0) return 0
    let [count, afterId] = [0, 0]
    while (true) {
      const at = new Date(now() + intervalMs * (1 + INTERVAL_JITTER) + TOLERANCE_MS)
      const rows = await store.clockRepair.listDueAfter(at, afterId)
      for (const connection of rows) {
        const { routineMs } = await plans.get(connection)
        const latest = now() + routineMs * (1 + INTERVAL_JITTER) + TOLERANCE_MS
        if (connection.dueAt.getTime() <= latest) continue
        const { userId, provider, dueAt } = connection
        const isMoved = await store.connections.claimSchedule(
          userId,
          provider,
          dueAt,
          new Date(now())
        )
        if (isMoved) count++
      }
      const last = rows.at(-1)
      if (last === undefined) return count
      afterId = last.id
    }
  }

  return createIntervalJob(async () => {
    await runOnce().catch((err: unknown) => {
      log.error({ event: 'schedule_error', err }, 'Correcting schedules failed; it is retried.')
    })
  }, CHECK_INTERVAL_MS)
}
