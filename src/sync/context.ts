import type { SiteSettings } from '../connections/sites.ts'
import { AppError } from '../lib/errors.ts'
import type { Logger } from '../lib/http-client.ts'
import type { Provider } from '../providers/index.ts'
import type { ConnectionWithGrant } from '../store/repositories/connections.ts'
import type { TransactionScript } from '../store/engine.ts'
import type { RunFailure, SyncRun, RunCounters } from '../store/repositories/sync-runs.ts'

export interface SyncSettings extends SiteSettings {
  log: Logger
  /** Runs under way at once in this process. */
  concurrency: number
  /** Milliseconds between two copies that nobody asked for; 0: none. */
  intervalMs: number
  /** Milliseconds after which a full listing is due. */
  fullIntervalMs: number
  /** A full listing that is shorter than the one before by more than this share holds deletions back. */
  maxShrinkRatio: number
  /** Days that tombstones and ended runs are kept. */
  tombstoneDays: number
  historyDays: number
}

/** What a run needs to know wherever it is. */
export interface RunContext {
  settings: SyncSettings
  run: SyncRun
  provider: Provider
  connectionWithGrant: ConnectionWithGrant
  log: Logger
  signal: AbortSignal
  /** What it has done; grows in place. */
  counters: RunCounters
}

/** More failures are counted and not listed. */
const MAX_LISTED_FAILURES = 100

export function recordRunFailure({ counters, log, run }: RunContext, failure: RunFailure): void {
  if (counters.failures.length < MAX_LISTED_FAILURES) counters.failures.push(failure)
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
 * @param script what is written besides, and what it adds to the tally
 * @throws AppError where the run is not this worker's any more; nothing is written then
 */
export async function commitProgress(
  { settings: { store }, run, counters }: RunContext,
  script?: () => TransactionScript<Partial<RunCounters>>
): Promise<void> {
  const added = await store.transaction(function* () {
    if ((yield store.runs.lockStatement(run)).length === 0) throw createRunTakenError()
    const added = script === undefined ? {} : yield* script()
    yield store.runs.saveProgressStatement(run, { ...counters, ...added })
    return added
  }, true)
  Object.assign(counters, added)
}

/** A run that somebody else has ended, or taken. */
export function createRunTakenError(): AppError {
  return new AppError('disconnected', 'The run was ended by somebody else.')
}
