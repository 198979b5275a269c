import type { SiteSettings } from '../connections/sites.ts'
import { AppError } from '../lib/errors.ts'
import type { Log } from '../lib/http-client.ts'
import type { Provider } from '../providers/index.ts'
import type { Standing } from '../store/repositories/connections.ts'
import type { Steps } from '../store/engine.ts'
import type { Failure, Run, Tally } from '../store/repositories/sync-runs.ts'

export interface SyncSettings extends SiteSettings {
  log: Log
  /** Runs under way at once in this process. */
  concurrency: number
  /** Milliseconds between two copies that nobody asked for; 0: none. */
  intervalMs: number
  /** Milliseconds after which a full listing is due. */
  fullIntervalMs: number
  /** A full listing that is shorter than the one before by more than this share holds deletions back. */
  shrinkShare: number
  /** Days that tombstones and ended runs are kept. */
  tombstoneDays: number
  historyDays: number
}

/** What a run needs to know wherever it is. */
export interface Context {
  settings: SyncSettings
  run: Run
  provider: Provider
  standing: Standing
  log: Log
  signal: AbortSignal
  /** What it has done; grows in place. */
  tally: Tally
}

/** More failures are counted and not listed. */
const MOST_FAILURES = 100

export function noteFailure({ tally, log, run }: Context, failure: Failure): void {
  if (tally.failures.length < MOST_FAILURES) tally.failures.push(failure)
  log.warn(
    {
      event: failure.remoteId === null ? 'sync_part_failed' : 'sync_item_skipped',
      run_id: run.id,
      collection: failure.collection,
      site: failure.site,
      remote_id: failure.remoteId ?? undefined,
      error_code: failure.code
    },
    failure.detail
  )
}

/**
 * Writes something in one transaction with how far the run is, as long as the run is this worker's.
 *
 * @param steps what is written besides, and what it adds to the tally
 * @throws AppError where the run is not this worker's any more; nothing is written then
 */
export async function record(
  { settings: { store }, run, tally }: Context,
  steps?: () => Steps<Partial<Tally>>
): Promise<void> {
  const added = await store.inSteps(function* () {
    if ((yield store.runs.holding(run)).length === 0) throw ended()
    const added = steps === undefined ? {} : yield* steps()
    yield store.runs.counting(run, { ...tally, ...added })
    return added
  }, true)
  Object.assign(tally, added)
}

/** A run that somebody else has ended, or taken. */
export function ended(): AppError {
  return new AppError('disconnected', 'The run was ended by somebody else.')
}
