import { setTimeout as sleep } from 'node:timers/promises'
import type { Store } from '../store/index.ts'
import type { SyncRun, RunCounters } from '../store/repositories/sync-runs.ts'
import { createRunTakenError } from './context.ts'

/** How often a worker looks whether its run is still its own, and says that it is still there. */
const CHECK_INTERVAL_MS = 500
const HEARTBEAT_INTERVAL_MS = 5_000

type SyncRunRepository = Store['runs']

/** Ends the work on a run that was ended or taken elsewhere, and keeps its lease where a page takes long. @returns what ends the watching */
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

/** Puts a run aside as soon as the database can be written. Until then it keeps its place here; nothing else could be written either. */
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
