import { randomUUID } from 'node:crypto'
import { DISCONNECTED_REASON } from '../connections/disconnect.ts'
import { AppError } from '../lib/errors.ts'
import { runAsActor, SERVICE_ACTOR } from '../lib/actor.ts'
import type { Logger } from '../lib/http-client.ts'
import { isTransientDatabaseError } from '../lib/retry.ts'
import { getProvider, type Provider } from '../providers/index.ts'
import type { RunFailure, RunOutcome, SyncRun, RunMode } from '../store/repositories/sync-runs.ts'
import { createRunTakenError, type RunContext, type SyncSettings } from './context.ts'
import { requeueWhenWritable, keepLease } from './run-lease.ts'
import { executeRun } from './execute-run.ts'

/** One run under way in this process. */
interface ActiveRun {
  run: SyncRun
  abortController: AbortController
  done: Promise<void>
}

const CANCELLED_MESSAGE =
  'The run was cancelled. What it had copied stays; the next run goes on there.'
/** Runs looked at when the next one is chosen. */
const MAX_CANDIDATES = 100
const MIN_PARK_MS = 1_000

/** A part that failed before the run was put aside is tried again, and is no failure until it fails again. */
const isItemFailure = ({ code }: RunFailure) => code === 'item_invalid'

/**
 * Copies what people's grants reach into the store. Runs are rows: whoever asks queues one, and whichever process has room
 * takes it, with a lease that each saved page renews. A run that was put aside, or whose worker died, goes on where it was.
 */
export function createSyncWorker(settings: SyncSettings) {
  const { store, now } = settings
  const activeRuns = new Map<number, ActiveRun>()
  /** The log of whoever asked for a run, with the id of the request. */
  const logByRunId = new Map<number, Logger>()
  let isStopped = false
  let draining: Promise<void> | undefined
  let isPokePending = false
  let timer: NodeJS.Timeout | undefined

  /**
   * Queues a run and returns it at once; a second request for the same owner and product joins the first.
   *
   * @param log names the request and the product
   * @throws AppError `not_connected`
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
    const { run, created } = await store.runs.enqueue(ownerId, provider.id, mode)
    if (created) logByRunId.set(run.id, log)
    poke()
    return run
  }

  /** Takes what waits, as far as there is room. */
  function poke(): void {
    isPokePending = true
    draining ??= drainQueue()
      .catch((err: unknown) => {
        settings.log.error(
          { event: 'sync_error', err },
          'Waiting runs could not be taken; it is tried again.'
        )
      })
      .finally(() => {
        draining = undefined
        // Somebody may have asked while the last look was being taken.
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

  /** Those who have the least under way come first, then those who have waited longest. */
  async function claimNext(): Promise<boolean> {
    const candidates = (await store.runs.listClaimable(MAX_CANDIDATES)).filter(
      ({ id }) => !activeRuns.has(id)
    )
    const countActive = (ownerId: number) =>
      [...activeRuns.values()].filter(({ run }) => run.ownerId === ownerId).length
    const [next] = candidates.sort(
      (a, b) => countActive(a.ownerId) - countActive(b.ownerId) || a.id - b.id
    )
    if (next === undefined || isStopped) return false
    const run = await store.runs.claim(next.id, randomUUID())
    if (run === undefined) return true
    const abortController = new AbortController()
    // A run is nobody's doing, whoever has woken it.
    const done = runAsActor(SERVICE_ACTOR, async () => {
      await runOne(run, abortController)
    }).finally(() => {
      activeRuns.delete(run.id)
      if (!isStopped) poke()
    })
    activeRuns.set(run.id, { run, abortController, done })
    return true
  }

  /** Parked runs go on by themselves, whether or not anything else happens. */
  async function scheduleWakeUp(): Promise<void> {
    const at = await store.runs.getNextResumeAt()
    clearTimeout(timer)
    if (at !== undefined && !isStopped) {
      timer = setTimeout(poke, Math.min(Math.max(at.getTime() - now(), 0) + 10, 60_000)).unref()
    }
  }

  async function runOne(run: SyncRun, abortController: AbortController): Promise<void> {
    const log = logByRunId.get(run.id) ?? settings.log
    const provider = getProvider(run.provider)
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
    const stopKeepingLease = keepLease(store.runs, run, abortController)
    let optionsAtStart: string | undefined
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
        provider,
        connectionWithGrant,
        log,
        signal: abortController.signal,
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
        async (error: unknown) => await resolveOutcome(context, error)
      )
      if (outcome === undefined) return
      await store.runs.finish(run, context.counters, outcome)
      logOutcome(run, outcome, log)
    } catch (err) {
      log.error(
        { event: 'sync_error', run_id: run.id, err },
        'The run ended where that could not be recorded.'
      )
    } finally {
      stopKeepingLease()
      logByRunId.delete(run.id)
      if (!isStopped) {
        await scheduleNext(run, optionsAtStart).catch((err: unknown) => {
          log.error(
            { event: 'sync_error', run_id: run.id, err },
            'The next run could not be planned.'
          )
        })
      }
    }
  }

  /** What becomes of a run that could not go on. @returns undefined where it was put aside, or is somebody else's */
  async function resolveOutcome(
    context: RunContext,
    error: unknown
  ): Promise<RunOutcome | undefined> {
    const { run, counters, log, signal } = context
    const reason: unknown = signal.aborted ? signal.reason : error
    const failure =
      reason instanceof AppError
        ? reason
        : new AppError('internal_error', 'Internal Server Error', { cause: reason })
    if (failure.code === 'interrupted') {
      await store.runs.suspend(run, counters, null)
      log.info(
        { event: 'sync_interrupted', run_id: run.id },
        'The run goes on when the service is back.'
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
        'The database cannot be written. The run goes on by itself when it can.'
      )
      await requeueWhenWritable(store.runs, run, counters, () => isStopped)
      return undefined
    }
    if (failure.code === 'upstream_rate_limited') {
      const until = new Date(
        now() + Math.max((failure.details.retryAfterS ?? 0) * 1000, MIN_PARK_MS)
      )
      await store.runs.suspend(run, counters, until, {
        code: failure.code,
        detail:
          'Atlassian limits the rate of calls. The run goes on by itself when its time has come.'
      })
      log.info({ event: 'sync_parked', run_id: run.id, until: until.toISOString() })
      return undefined
    }
    return { state: 'failed', code: failure.code, detail: failure.message, cause: failure }
  }

  /** When a connection is copied next without anybody asking: not all of them at the same moment. */
  function computeNextDueAt(): Date | null {
    const jitter = 0.9 + Math.random() * 0.2
    return settings.intervalMs === 0 ? null : new Date(now() + settings.intervalMs * jitter)
  }

  /** What was wished for while a run was under way is copied by the next, at once. */
  async function scheduleNext(run: SyncRun, optionsAtStart: string | undefined): Promise<void> {
    await store.connections.schedule(run.ownerId, run.provider, computeNextDueAt())
    const connectionWithGrant = await store.connections.get(run.ownerId, run.provider)
    if (
      connectionWithGrant !== undefined &&
      optionsAtStart !== undefined &&
      JSON.stringify(connectionWithGrant.connection.options) !== optionsAtStart
    ) {
      await store.runs.enqueue(run.ownerId, run.provider)
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

    /** Ends a run that is under way, here or elsewhere. @throws AppError `run_ended` */
    async cancel(id: number): Promise<void> {
      if (!(await store.runs.cancel(id, CANCELLED_MESSAGE))) {
        throw new AppError('run_ended', 'The run has ended already.')
      }
      const active = activeRuns.get(id)
      active?.abortController.abort(new AppError('cancelled', CANCELLED_MESSAGE))
      await active?.done
    },

    /** Ends what is being copied for an owner, here or elsewhere; resolves when it has ended here. */
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

    /** Puts aside what runs, to be gone on with by the next process. Resolves when the last one has ended here. */
    async stop(): Promise<void> {
      isStopped = true
      // What is just being taken is under way then too.
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
