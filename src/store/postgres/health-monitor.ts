import { setTimeout as sleep } from 'node:timers/promises'

/** A server that was asked and has said nothing for so long is looked at, */
const SILENCE_THRESHOLD_MS = 200
/** and has so long to answer the simplest of questions: together with the look, a second. */
const PROBE_TIMEOUT_MS = 700
const POLL_INTERVAL_MS = 100
/** A timer that comes this late says more about this process than about the server. */
const MAX_TIMER_DELAY_MS = 150

export interface HealthMonitorOptions {
  /** Asks the simplest of questions, on a connection of its own. Rejects where there is no answer. */
  probe: (signal: AbortSignal) => Promise<unknown>
  /** What those are told who wait for an answer that will not come. */
  createLostError: () => Error
  /** Told when the server is lost, and when it is back. */
  onAvailabilityChange: (isAvailable: boolean) => void
}

/**
 * Whether a server is there: as soon as it does not answer any more, whoever waits is told and nobody waits any longer, until it
 * answers again. A connection that is cut without a word is noticed as fast as one that is refused.
 */
export function createHealthMonitor({
  probe,
  createLostError,
  onAvailabilityChange
}: HealthMonitorOptions) {
  const state = { isLost: false, isStopped: false, lastResponseAt: performance.now() }
  const pending = new Set<{ since: number; reject: (error: Error) => void }>()
  let monitoring: Promise<void> | undefined
  let evaluation: Promise<void> | undefined

  /** Looks at the server while somebody waits for it, or it is lost. */
  async function monitor(): Promise<void> {
    while (!state.isStopped && (state.isLost || pending.size > 0)) {
      await sleep(POLL_INTERVAL_MS, undefined, { ref: false })
      const [oldest] = pending
      const isSilent =
        oldest !== undefined &&
        performance.now() - Math.max(state.lastResponseAt, oldest.since) > SILENCE_THRESHOLD_MS
      if (state.isLost || isSilent) await evaluateOnce()
    }
  }

  function startMonitoring(): void {
    monitoring ??= monitor().finally(() => {
      monitoring = undefined
    })
  }

  async function evaluateOnce(): Promise<void> {
    evaluation ??= evaluate().finally(() => {
      evaluation = undefined
    })
    await evaluation
  }

  async function evaluate(): Promise<void> {
    const startedAt = performance.now()
    const answer = await probeWithTimeout()
    // A server that is only slow has answered somebody else meanwhile.
    const result = answer === 'no' && state.lastResponseAt > startedAt ? 'yes' : answer
    if (state.isStopped || result === 'unknown') return
    if (result === 'yes') state.lastResponseAt = performance.now()
    const isLost = result === 'no'
    if (state.isLost === isLost) return
    state.isLost = isLost
    if (isLost) {
      for (const { reject } of pending) reject(createLostError())
      startMonitoring()
    }
    onAvailabilityChange(!isLost)
  }

  async function probeWithTimeout(): Promise<'yes' | 'no' | 'unknown'> {
    const abort = new AbortController()
    const dueAt = performance.now() + PROBE_TIMEOUT_MS
    const timeout = sleep(PROBE_TIMEOUT_MS, undefined, { ref: false }).then(async () => {
      const isLate = performance.now() - dueAt > MAX_TIMER_DELAY_MS
      // What has arrived meanwhile is read before anybody is judged.
      await new Promise(setImmediate)
      await new Promise(setImmediate)
      return isLate ? ('unknown' as const) : ('no' as const)
    })
    return await Promise.race([
      probe(abort.signal).then(
        () => 'yes' as const,
        () => 'no' as const
      ),
      timeout
    ]).finally(() => {
      abort.abort()
    })
  }

  return {
    /**
     * Runs something on the server, for as long as it is there. Rejects at once while it is lost.
     *
     * @param work is told whether somebody still waits for it: what has not been begun by then is not to be begun any more
     */
    async run<T>(work: (isPending: () => boolean) => Promise<T>): Promise<T> {
      if (state.isLost) throw createLostError()
      const { promise, reject } = Promise.withResolvers<never>()
      promise.catch(() => {})
      const entry = { since: performance.now(), reject }
      pending.add(entry)
      startMonitoring()
      try {
        const result = await Promise.race([work(() => pending.has(entry)), promise])
        state.lastResponseAt = performance.now()
        return result
      } finally {
        pending.delete(entry)
      }
    },

    /** Somebody has seen a sign of trouble. */
    probeSoon(): void {
      evaluateOnce().catch(() => {})
    },

    isLost: () => state.isLost,

    stop(): void {
      state.isStopped = true
    }
  }
}
