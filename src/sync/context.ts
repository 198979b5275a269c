import type { SiteSettings } from '../connections/sites.ts'
import type { BackoffLimits } from '../lib/backoff.ts'
import type { KeyAvailability } from '../instances/heartbeat.ts'
import { AppError } from '../lib/errors.ts'
import type { Logger } from '../lib/http-client.ts'
import type { Provider } from '../providers/provider.ts'
import type { ConnectionWithGrant } from '../store/repositories/connections.ts'
import type { TransactionScript } from '../store/engine.ts'
import type { ActivePlan, ConnectionPlans } from './connection-plans.ts'
import type { RunSpending } from './run-spending.ts'
import type { CallCeiling } from './call-ceiling.ts'
import type { RunFailure, SyncRun, RunCounters } from '../store/repositories/sync-runs.ts'

export interface SyncSettings extends SiteSettings {
  log: Logger
  /** Delays before failed calls are repeated; undefined: those of the gateway. */
  upstreamBackoff?: BackoffLimits | undefined
  /** The vault keys that this instance lacks: what needs them is left to other instances. */
  keys: KeyAvailability
  /** Maximum number of concurrent runs in this process. */
  concurrency: number
  /** Milliseconds between two scheduled syncs; 0: no schedule. */
  intervalMs: number
  /** Milliseconds between two requests of a full run; 0: no cool-down. */
  fullCooldownMs: number
  /** When each connection is synced. */
  plans: ConnectionPlans
  /**
   * Deletions are held if a full listing is shorter than the previous one by more than this
   * share (0 to 1).
   */
  maxShrinkRatio: number
  /** Days that tombstones and ended runs are kept. */
  tombstoneDays: number
  historyDays: number
}

/** What every part of a run needs. */
export interface RunContext {
  settings: SyncSettings
  run: SyncRun
  provider: Provider
  connectionWithGrant: ConnectionWithGrant
  log: Logger
  signal: AbortSignal
  /** Whether the run has had its turn and others wait for one. */
  isTurnOver: () => Promise<boolean>
  /** What the run has done so far; updated in place. */
  counters: RunCounters
  spending: RunSpending
  plan: ActivePlan
  /** `site/collection` of projects or spaces to list although that is not due. */
  unlistedParents: Set<string>
  callCeiling: CallCeiling
}

/** Ends the turn of a run between two pages; it waits behind the others and goes on from there. */
export class TurnOver extends Error {}

/**
 * A part that failed before the run was parked is retried; it counts as failed only if it fails
 * again.
 */
const ITEM_FAILURES = ['item_invalid', 'item_failed', 'body_empty']
export const isItemFailure = ({ code }: RunFailure) => ITEM_FAILURES.includes(code)

/** Further failures are counted but not listed. */
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
 * Runs a script and saves the run's progress in one transaction, provided that this worker still
 * owns the run.
 *
 * @param script the other writes; returns what it adds to the counters
 * @throws AppError if the run is no longer this worker's; nothing is written then
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

/** The error of a worker whose run was ended or claimed by another. */
export function createRunTakenError(): AppError {
  return new AppError('disconnected', 'The run was ended or claimed by another worker.')
}
