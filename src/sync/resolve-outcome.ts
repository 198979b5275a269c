import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../lib/errors.ts'
import type { Logger } from '../lib/http-client.ts'
import { isTransientDatabaseError } from '../lib/retry.ts'
import type { Store } from '../store/index.ts'
import type { RunCounters, RunOutcome, SyncRun } from '../store/repositories/sync-runs.ts'
import { TurnOver, type RunContext, type SyncSettings } from './context.ts'

const MIN_PARK_MS = 1_000
/** By then, another instance claims the run, or this one knows which key it lacks. */
const MISSING_KEY_PARK_MS = 5_000
/** How often to try to re-queue a run while the database cannot be written. */
const RETRY_INTERVAL_MS = 500

/**
 * Decides what becomes of a run that could not continue.
 *
 * @returns undefined if it was parked, or belongs to another worker
 */
export async function resolveOutcome(
  context: RunContext,
  error: unknown,
  isStopped: () => boolean
): Promise<RunOutcome | undefined> {
  const {
    settings: { store, now },
    run,
    counters,
    log,
    signal
  } = context
  if (error instanceof TurnOver && !signal.aborted) {
    await store.runs.suspend(run, counters, new Date(now()))
    log.info({ event: 'sync_turn_over', run_id: run.id })
    return undefined
  }
  const reason: unknown = signal.aborted ? signal.reason : error
  const failure =
    reason instanceof AppError
      ? reason
      : new AppError('internal_error', 'Internal Server Error', { cause: reason })
  if (failure.code === 'interrupted') {
    await store.runs.suspend(run, counters, null)
    log.info(
      { event: 'sync_interrupted', run_id: run.id },
      'The run resumes when the service is running again.'
    )
    return undefined
  }
  if (failure.code === 'cancelled') {
    log.info({ event: 'sync_cancelled', run_id: run.id }, failure.message)
    return undefined
  }
  if (isTransientDatabaseError(failure)) {
    log.warn(
      { event: 'sync_database_unavailable', run_id: run.id, error_code: failure.code },
      'The database cannot be written. The run resumes as soon as it can.'
    )
    await requeueWhenWritable(store.runs, run, counters, isStopped)
    return undefined
  }
  if (failure.code === 'vault_key_missing') {
    await suspendForKey(context.settings, run, counters, failure, log)
    return undefined
  }
  if (failure.code === 'upstream_rate_limited') {
    const until = new Date(now() + Math.max((failure.details.retryAfterS ?? 0) * 1000, MIN_PARK_MS))
    await store.runs.suspend(run, counters, until, {
      code: failure.code,
      detail: 'Atlassian limits the rate of calls. The run resumes after the wait it asked for.'
    })
    log.info({ event: 'sync_parked', run_id: run.id, until: until.toISOString() })
    return undefined
  }
  return { state: 'failed', code: failure.code, detail: failure.message, cause: failure }
}

/**
 * Leaves a run that could not start, or whose outcome could not be saved: re-queues it if this
 * instance lacks its vault key. Otherwise it is claimed again when its lease has expired. Never
 * rejects, because nobody may be waiting for the run.
 */
export async function leaveUnfinished(
  settings: Pick<SyncSettings, 'store' | 'now'>,
  run: SyncRun,
  error: unknown,
  log: Logger
): Promise<void> {
  let err = error
  if (error instanceof AppError && error.code === 'vault_key_missing') {
    try {
      await suspendForKey(settings, run, run, error, log)
      return
    } catch (writeError) {
      err = writeError
    }
  }
  log.error(
    { event: 'sync_error', run_id: run.id, err },
    'The run ended, but its outcome could not be saved.'
  )
}

/** Re-queues a run whose vault key this instance lacks, for an instance that has it. */
async function suspendForKey(
  { store, now }: Pick<SyncSettings, 'store' | 'now'>,
  run: SyncRun,
  counters: RunCounters,
  { code, message }: AppError,
  log: Logger
): Promise<void> {
  await store.runs.suspend(run, counters, new Date(now() + MISSING_KEY_PARK_MS), {
    code,
    detail: message
  })
  log.warn({ event: 'sync_parked', run_id: run.id, error_code: code }, message)
}

/**
 * Re-queues the run, retrying while the database is read-only or down. The run occupies its
 * worker slot meanwhile; no other run could be saved either.
 */
async function requeueWhenWritable(
  runs: Store['runs'],
  run: SyncRun,
  counters: RunCounters,
  isStopped: () => boolean
): Promise<void> {
  while (!isStopped()) {
    try {
      await runs.suspend(run, counters, null)
      return
    } catch {
      await sleep(RETRY_INTERVAL_MS)
    }
  }
}
