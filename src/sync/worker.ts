import { randomUUID } from 'node:crypto'
import { DISCONNECTED } from '../connections/disconnect.ts'
import { AppError } from '../lib/errors.ts'
import { acting, SERVICE } from '../lib/actor.ts'
import type { Log } from '../lib/http-client.ts'
import { isOfDatabase } from '../lib/retry.ts'
import { providerOf, type Provider } from '../providers/index.ts'
import type { Failure, Outcome, Run, RunMode } from '../store/repositories/sync-runs.ts'
import { ended, type Context, type SyncSettings } from './context.ts'
import { putAsideLater, watch } from './run-lease.ts'
import { copyAll } from './execute-run.ts'

/** One run under way in this process. */
interface Work {
  run: Run
  stopping: AbortController
  done: Promise<void>
}

const CANCELLED = 'The run was cancelled. What it had copied stays; the next run goes on there.'
/** Runs looked at when the next one is chosen. */
const LOOKED_AT = 100
const SHORTEST_PARK_MS = 1_000

/** A part that failed before the run was put aside is tried again, and is no failure until it fails again. */
const isOfItem = ({ code }: Failure) => code === 'item_invalid'

/**
 * Copies what people's grants reach into the store. Runs are rows: whoever asks queues one, and whichever process has room
 * takes it, with a lease that each saved page renews. A run that was put aside, or whose worker died, goes on where it was.
 */
export function createSync(settings: SyncSettings) {
  const { store, now } = settings
  const underWay = new Map<number, Work>()
  /** The log of whoever asked for a run, with the id of the request. */
  const logs = new Map<number, Log>()
  let stopped = false
  let pumping: Promise<void> | undefined
  let again = false
  let timer: NodeJS.Timeout | undefined

  /**
   * Queues a run and returns it at once; a second request for the same owner and product joins the first.
   *
   * @param log names the request and the product
   * @throws AppError `not_connected`
   */
  async function start(
    ownerId: number,
    provider: Provider,
    log: Log,
    mode: RunMode = 'due'
  ): Promise<Run> {
    if (stopped) throw new AppError('interrupted', 'The service is stopping.')
    if ((await store.connections.get(ownerId, provider.id)) === undefined) {
      throw new AppError(
        'not_connected',
        `This user has not connected ${provider.title}. Start at /auth/${provider.id}/login.`
      )
    }
    const { run, created } = await store.runs.enqueue(ownerId, provider.id, mode)
    if (created) logs.set(run.id, log)
    wake()
    return run
  }

  /** Takes what waits, as far as there is room. */
  function wake(): void {
    again = true
    pumping ??= pump()
      .catch((err: unknown) => {
        settings.log.error(
          { event: 'sync_error', err },
          'Waiting runs could not be taken; it is tried again.'
        )
      })
      .finally(() => {
        pumping = undefined
        // Somebody may have asked while the last look was being taken.
        if (again) wake()
      })
  }

  async function pump(): Promise<void> {
    while (again) {
      again = false
      let taken = true
      while (taken) taken = underWay.size < settings.concurrency && (await takeNext())
    }
    await setAlarm()
  }

  /** Those who have the least under way come first, then those who have waited longest. */
  async function takeNext(): Promise<boolean> {
    const waiting = (await store.runs.waiting(LOOKED_AT)).filter(({ id }) => !underWay.has(id))
    const busy = (ownerId: number) =>
      [...underWay.values()].filter(({ run }) => run.ownerId === ownerId).length
    const [next] = waiting.sort((a, b) => busy(a.ownerId) - busy(b.ownerId) || a.id - b.id)
    if (next === undefined || stopped) return false
    const run = await store.runs.claim(next.id, randomUUID())
    if (run === undefined) return true
    const stopping = new AbortController()
    // A run is nobody's doing, whoever has woken it.
    const done = acting(SERVICE, async () => {
      await perform(run, stopping)
    }).finally(() => {
      underWay.delete(run.id)
      if (!stopped) wake()
    })
    underWay.set(run.id, { run, stopping, done })
    return true
  }

  /** Parked runs go on by themselves, whether or not anything else happens. */
  async function setAlarm(): Promise<void> {
    const at = await store.runs.nextParked()
    clearTimeout(timer)
    if (at !== undefined && !stopped) {
      timer = setTimeout(wake, Math.min(Math.max(at.getTime() - now(), 0) + 10, 60_000)).unref()
    }
  }

  async function perform(run: Run, stopping: AbortController): Promise<void> {
    const log = logs.get(run.id) ?? settings.log
    const provider = providerOf(run.provider)
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
    const unwatch = watch(store.runs, run, stopping)
    let wished: string | undefined
    try {
      log.info({
        event: 'sync_started',
        run_id: run.id,
        owner_id: run.ownerId,
        product: run.provider,
        mode: run.mode
      })
      const standing = await store.connections.get(run.ownerId, run.provider)
      if (standing === undefined) throw ended()
      wished = JSON.stringify(standing.connection.options)
      const context: Context = {
        settings,
        run,
        provider,
        standing,
        log,
        signal: stopping.signal,
        tally: {
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
          failures: failures.filter(isOfItem)
        }
      }
      const outcome: Outcome | undefined = await copyAll(context).catch(
        async (error: unknown) => await endedBy(context, error)
      )
      if (outcome === undefined) return
      await store.runs.end(run, context.tally, outcome)
      report(run, outcome, log)
    } catch (err) {
      log.error(
        { event: 'sync_error', run_id: run.id, err },
        'The run ended where that could not be recorded.'
      )
    } finally {
      unwatch()
      logs.delete(run.id)
      if (!stopped) {
        await planAfter(run, wished).catch((err: unknown) => {
          log.error(
            { event: 'sync_error', run_id: run.id, err },
            'The next run could not be planned.'
          )
        })
      }
    }
  }

  /** What becomes of a run that could not go on. @returns undefined where it was put aside, or is somebody else's */
  async function endedBy(context: Context, error: unknown): Promise<Outcome | undefined> {
    const { run, tally, log, signal } = context
    const reason: unknown = signal.aborted ? signal.reason : error
    const failure =
      reason instanceof AppError
        ? reason
        : new AppError('internal_error', 'Internal Server Error', { cause: reason })
    if (failure.code === 'interrupted') {
      await store.runs.putAside(run, tally, null)
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
    if (isOfDatabase(failure)) {
      log.warn(
        { event: 'sync_database_unavailable', run_id: run.id, error_code: failure.code },
        'The database cannot be written. The run goes on by itself when it can.'
      )
      await putAsideLater(store.runs, run, tally, () => stopped)
      return undefined
    }
    if (failure.code === 'upstream_rate_limited') {
      const until = new Date(
        now() + Math.max((failure.extras.retryAfterS ?? 0) * 1000, SHORTEST_PARK_MS)
      )
      await store.runs.putAside(run, tally, until, {
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
  function nextTurn(): Date | null {
    const jitter = 0.9 + Math.random() * 0.2
    return settings.intervalMs === 0 ? null : new Date(now() + settings.intervalMs * jitter)
  }

  /** What was wished for while a run was under way is copied by the next, at once. */
  async function planAfter(run: Run, wished: string | undefined): Promise<void> {
    await store.connections.schedule(run.ownerId, run.provider, nextTurn())
    const standing = await store.connections.get(run.ownerId, run.provider)
    if (
      standing !== undefined &&
      wished !== undefined &&
      JSON.stringify(standing.connection.options) !== wished
    ) {
      await store.runs.enqueue(run.ownerId, run.provider)
    }
  }

  function report({ id }: Run, { state, code, detail, cause }: Outcome, log: Log): void {
    if (state === 'failed') {
      log.error({ event: 'sync_error', run_id: id, error_code: code, err: cause }, detail)
    } else log.info({ event: `sync_${state}`, run_id: id, error_code: code }, detail)
  }

  return {
    start,
    wake,
    nextTurn,

    /** Ends a run that is under way, here or elsewhere. @throws AppError `run_ended` */
    async cancel(id: number): Promise<void> {
      if (!(await store.runs.cancel(id, CANCELLED))) {
        throw new AppError('run_ended', 'The run has ended already.')
      }
      const work = underWay.get(id)
      work?.stopping.abort(new AppError('cancelled', CANCELLED))
      await work?.done
    },

    /** Ends what is being copied for an owner, here or elsewhere; resolves when it has ended here. */
    async stopFor(ownerId: number, provider: string): Promise<void> {
      await store.runs.endActive(ownerId, provider, DISCONNECTED)
      const here = [...underWay.values()].filter(
        ({ run }) => run.ownerId === ownerId && run.provider === provider
      )
      for (const { stopping } of here) {
        stopping.abort(new AppError(DISCONNECTED.code, DISCONNECTED.detail))
      }
      await Promise.allSettled(here.map(({ done }) => done))
    },

    /** Puts aside what runs, to be gone on with by the next process. Resolves when the last one has ended here. */
    async stop(): Promise<void> {
      stopped = true
      // What is just being taken is under way then too.
      await pumping
      clearTimeout(timer)
      for (const { stopping } of underWay.values()) {
        stopping.abort(new AppError('interrupted', 'The service is stopping.'))
      }
      await Promise.allSettled([...underWay.values()].map(({ done }) => done))
    }
  }
}

export type Sync = ReturnType<typeof createSync>
