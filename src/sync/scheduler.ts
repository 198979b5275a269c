import { createIntervalJob, type IntervalJob } from '../lib/interval.ts'
import type { SyncSettings } from './context.ts'
import type { SyncWorker } from './worker.ts'

const POLL_INTERVAL_MS = 2_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000
const BATCH_SIZE = 100

/**
 * Queues connections whose sync is due and purges expired rows. Every process may run it at
 * once, since only one run per owner and product can be active.
 */
export function createSyncScheduler(settings: SyncSettings, worker: SyncWorker): IntervalJob {
  const { store, now, log } = settings
  let purgedAt = 0

  async function enqueueDue(): Promise<void> {
    const { keys, intervalMs } = settings
    if (intervalMs === 0 || keys.lacksCurrentKey()) return
    for (const connection of await store.connections.listDue(
      new Date(now()),
      BATCH_SIZE,
      keys.getMissingKeyIds()
    )) {
      const { userId, provider, state, dueAt } = connection
      // Another instance may have claimed this connection, and its run may have ended already.
      const isClaimed = await store.connections.claimSchedule(
        userId,
        provider,
        dueAt,
        await worker.computeNextDueAt(connection)
      )
      if (isClaimed && (state === 'active' || state === 'degraded')) {
        await store.runs.enqueue(userId, provider)
      }
    }
  }

  /** Deletes in small batches, so that no request waits behind it. */
  async function purgeExpired(): Promise<void> {
    if (Math.abs(now() - purgedAt) < HOUR_MS) return
    const daysAgo = (days: number) => new Date(now() - days * DAY_MS)
    await repeatUntilDone(async () => await store.runs.purge(daysAgo(settings.historyDays)))
    for (const { name } of settings.providers.collections) {
      await repeatUntilDone(
        async () => await store.items(name).purge(daysAgo(settings.tombstoneDays))
      )
    }
    await store.rateBudgets.purge(now())
    purgedAt = now()
  }

  async function repeatUntilDone(step: () => Promise<boolean>): Promise<void> {
    let hasMore = true
    while (hasMore) hasMore = (await step()) && !job.isStopped()
  }

  async function runOnce(): Promise<void> {
    await enqueueDue()
    worker.poke()
    await purgeExpired()
  }

  const job = createIntervalJob(async () => {
    await runOnce().catch((err: unknown) => {
      log.error({ event: 'schedule_error', err }, 'Scheduling failed; it is retried.')
    })
  }, POLL_INTERVAL_MS)
  return job
}
