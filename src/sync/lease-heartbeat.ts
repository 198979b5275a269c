import type { Store } from '../store/index.ts'
import type { SyncRun } from '../store/repositories/sync-runs.ts'
import { createRunTakenError } from './context.ts'

/** How often a worker checks that it still owns its run, and renews the lease. */
const CHECK_INTERVAL_MS = 500
const HEARTBEAT_INTERVAL_MS = 5_000

/**
 * Aborts the work on a run that was ended or claimed elsewhere, and renews its lease while a
 * page takes long.
 *
 * @returns a function that stops the heartbeat
 */
export function startLeaseHeartbeat(
  runs: Store['runs'],
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
