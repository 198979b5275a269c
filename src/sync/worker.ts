import { randomUUID } from 'node:crypto'
import { DISCONNECTED_REASON } from '../connections/erasure.ts'
import { AppError } from '../lib/errors.ts'
import { runAsActor, SERVICE_ACTOR } from '../lib/actor.ts'
import type { Logger } from '../lib/http-client.ts'
import type { Provider } from '../providers/provider.ts'
import type { RunOutcome, SyncRun, RunMode } from '../store/repositories/sync-runs.ts'
import { toPlannedRow } from './connection-plans.ts'
import { createCallCeiling } from './call-ceiling.ts'
import {
  createRunTakenError,
  isItemFailure,
  type RunContext,
  type SyncSettings
} from './context.ts'
import { executeRun } from './execute-run.ts'
import { startLeaseHeartbeat } from './lease-heartbeat.ts'
import { createNextRuns } from './next-runs.ts'
import { createSpending } from './run-spending.ts'
import { leaveUnfinished, resolveOutcome } from './resolve-outcome.ts'
import { assertFullRunAllowed } from './full-run-cooldown.ts'
import { createTurns } from './turns.ts'

/** One active run in this process. */
interface ActiveRun {
  run: SyncRun
  abortController: AbortController
  done: Promise<void>
}

const CANCELLED_MESSAGE = 'The run was cancelled. Its copies are kept; the next run resumes there.'

/**
 * Syncs what people's grants reach into the store. A run is a row: a request queues it, and a
 * process with a free slot claims it with a lease that every saved page renews. A run that was
 * parked, or whose worker died, resumes where it stopped.
 */
export function createSyncWorker(settings: SyncSettings) {
  const { store, now } = settings
  const activeRuns = new Map<number, ActiveRun>()
  /** The requester's logger per run, with the id of the request. */
  const logByRunId = new Map<number, Logger>()
  const turns = createTurns(
    store.runs,
    () => [...activeRuns.values()].map(({ run }) => run),
    settings.concurrency,
    settings.keys
  )
  const { computeNextDueAt, planNext, scheduleNext } = createNextRuns(settings)
  let isStopped = false
  let draining: Promise<void> | undefined
  let isPokePending = false
  let timer: NodeJS.Timeout | undefined

  /**
   * Queues a run and returns it at once. A second request for the same owner and product joins
   * the first.
   *
   * @param log carries the request id and the product
   * @throws AppError `not_connected`, `too_many_requests` during the cool-down of full runs
   */
  async function enqueueRun(
    ownerId: number,
    provider: Provider,
    log: Logger,
    mode: RunMode = 'due'
  ): Promise<SyncRun> {
    if (isStopped) throw new AppError('interrupted', 'The service is stopping.')
    if ((await store.connections.get(ownerId, provider.id)) === undefined) {
      throw new AppError(
        'not_connected',
        `This user has not connected ${provider.title}. Start at /auth/${provider.id}/login.`
      )
    }
    if (mode === 'full') await assertFullRunAllowed(settings, ownerId, provider)
    const { run } = await store.runs.enqueue(ownerId, provider.id, mode)
    // Also for a run that was queued together with its consent: nobody here has asked for it before.
    if (run.state === 'queued' && !logByRunId.has(run.id)) logByRunId.set(run.id, log)
    poke()
    return run
  }

  /** Claims waiting runs while there are free slots. */
  function poke(): void {
    isPokePending = true
    draining ??= drainQueue()
      .catch((err: unknown) => {
        settings.log.error(
          { event: 'sync_error', err },
          'Waiting runs could not be claimed; it is retried.'
        )
      })
      .finally(() => {
        draining = undefined
        // A run may have been queued during the last look.
        if (isPokePending) poke()
      })
  }

  async function drainQueue(): Promise<void> {
    while (isPokePending) {
      isPokePending = false
      let hasClaimed = true
      while (hasClaimed) hasClaimed = activeRuns.size < settings.concurrency && (await claimNext())
    }
    await scheduleWakeUp()
  }

  async function claimNext(): Promise<boolean> {
    const next = await turns.findNext()
    if (next === undefined || isStopped) return false
    const run = await store.runs.claim(next, randomUUID())
    if (run === undefined) return true
    const abortController = new AbortController()
    // The actor of a run is the service, also if a user triggered it.
    const done = runAsActor(SERVICE_ACTOR, async () => {
      await runOne(run, abortController)
    }).finally(() => {
      activeRuns.delete(run.id)
      if (!isStopped) poke()
    })
    activeRuns.set(run.id, { run, abortController, done })
    return true
  }

  /** Parked runs resume on time even if nothing else happens. */
  async function scheduleWakeUp(): Promise<void> {
    const at = await store.runs.getNextResumeAt()
    clearTimeout(timer)
    if (at !== undefined && !isStopped) {
      timer = setTimeout(poke, Math.min(Math.max(at.getTime() - now(), 0) + 10, 60_000)).unref()
    }
  }

  async function runOne(run: SyncRun, abortController: AbortController): Promise<void> {
    const log = logByRunId.get(run.id) ?? settings.log
    const {
      seen,
      added,
      changed,
      removed,
      held,
      skipped,
      calls,
      points,
      progress,
      done,
      failures
    } = run
    const stopHeartbeat = startLeaseHeartbeat(store.runs, run, abortController)
    const startedAt = performance.now()
    let optionsAtStart: string | undefined
    let isScheduled = false
    try {
      log.info({
        event: 'sync_started',
        run_id: run.id,
        owner_id: run.ownerId,
        product: run.provider,
        mode: run.mode
      })
      const connectionWithGrant = await store.connections.get(run.ownerId, run.provider)
      if (connectionWithGrant === undefined) throw createRunTakenError()
      optionsAtStart = JSON.stringify(connectionWithGrant.connection.options)
      const context: RunContext = {
        settings,
        run,
        provider: settings.providers.get(run.provider),
        connectionWithGrant,
        spending: createSpending(),
        plan: await settings.plans.get(toPlannedRow(connectionWithGrant)),
        unlistedParents: new Set(),
        log,
        signal: abortController.signal,
        isTurnOver: async () => await turns.isOver(startedAt),
        callCeiling: createCallCeiling(),
        counters: {
          seen,
          added,
          changed,
          removed,
          held,
          skipped,
          calls,
          points,
          progress,
          done: [...done],
          failures: failures.filter(isItemFailure)
        }
      }
      const outcome: RunOutcome | undefined = await executeRun(context).catch(
        async (error: unknown) => await resolveOutcome(context, error, () => isStopped)
      )
      if (outcome === undefined) return
      await store.runs.finish(run, context.counters, outcome, await planNext(context, outcome))
      isScheduled = true
      logOutcome(run, outcome, log)
    } catch (err) {
      await leaveUnfinished(settings, run, err, log)
    } finally {
      stopHeartbeat()
      logByRunId.delete(run.id)
      // Without these, the run did not start: whoever runs it schedules the next one.
      if (!isStopped && optionsAtStart !== undefined) {
        await scheduleNext(run, optionsAtStart, isScheduled).catch((err: unknown) => {
          log.error(
            { event: 'sync_error', run_id: run.id, err },
            'The next run could not be scheduled.'
          )
        })
      }
    }
  }

  function logOutcome(
    { id }: SyncRun,
    { state, code, detail, cause }: RunOutcome,
    log: Logger
  ): void {
    if (state === 'failed') {
      log.error({ event: 'sync_error', run_id: id, error_code: code, err: cause }, detail)
    } else log.info({ event: `sync_${state}`, run_id: id, error_code: code }, detail)
  }

  return {
    enqueueRun,
    poke,
    computeNextDueAt,

    /**
     * Cancels an active run, in this process or another.
     *
     * @throws AppError `run_ended`
     */
    async cancel(id: number): Promise<void> {
      if (!(await store.runs.cancel(id, CANCELLED_MESSAGE))) {
        throw new AppError('run_ended', 'The run has already ended.')
      }
      const active = activeRuns.get(id)
      active?.abortController.abort(new AppError('cancelled', CANCELLED_MESSAGE))
      await active?.done
    },

    /**
     * Ends the active runs of an owner and product in every process; resolves when they have
     * stopped in this one.
     */
    async cancelForOwner(ownerId: number, provider: string): Promise<void> {
      await store.runs.failActive(ownerId, provider, DISCONNECTED_REASON)
      const matching = [...activeRuns.values()].filter(
        ({ run }) => run.ownerId === ownerId && run.provider === provider
      )
      for (const { abortController } of matching) {
        abortController.abort(new AppError(DISCONNECTED_REASON.code, DISCONNECTED_REASON.detail))
      }
      await Promise.allSettled(matching.map(({ done }) => done))
    },

    /** Re-queues the active runs for another process. Resolves when the last one has stopped. */
    async stop(): Promise<void> {
      isStopped = true
      // A run that is being claimed now counts as active.
      await draining
      clearTimeout(timer)
      for (const { abortController } of activeRuns.values()) {
        abortController.abort(new AppError('interrupted', 'The service is stopping.'))
      }
      await Promise.allSettled([...activeRuns.values()].map(({ done }) => done))
    }
  }
}

export type SyncWorker = ReturnType<typeof createSyncWorker>
