import { setTimeout as sleep } from 'node:timers/promises'
import type { Store } from '../store/index.ts'
import type { SyncRun, RunCounters } from '../store/repositories/sync-runs.ts'
import { createRunTakenError } from './context.ts'

/** How often a worker checks that it still owns its run, and renews the lease. */
const CHECK_INTERVAL_MS = 500
const HEARTBEAT_INTERVAL_MS = 5_000

type SyncRunRepository = Store['runs']

/**
 * Aborts the work on a run that was ended or claimed elsewhere, and renews its lease while a
 * page takes long.
 *
 * @returns a function that stops watching
 */
export function keepLease(
  runs: SyncRunRepository,
  run: SyncRun,
  abortController: AbortController
): () => void {
  const checkTimer = setInterval(() => {
    runs.isOwned(run).then(
      (isOwned) => {
        if (!isOwned) abortController.abort(createRunTakenError())
      },
      () => {}
    )
  }, CHECK_INTERVAL_MS).unref()
  const heartbeatTimer = setInterval(() => {
    runs.renewLease(run).catch(() => {})
  }, HEARTBEAT_INTERVAL_MS).unref()
  return () => {
    clearInterval(checkTimer)
    clearInterval(heartbeatTimer)
  }
}

/**
 * Re-queues the run, retrying while the database is read-only or down. The run occupies its
 * worker slot meanwhile; no other run could be saved either.
 */
export async function requeueWhenWritable(
  runs: SyncRunRepository,
  run: SyncRun,
  counters: RunCounters,
  isStopped: () => boolean
): Promise<void> {
  while (!isStopped()) {
    try {
      await runs.suspend(run, counters, null)
      return
    } catch {
      await sleep(CHECK_INTERVAL_MS)
    }
  }
}
