import { setTimeout as sleep } from 'node:timers/promises'

/** Probe the server after this long without a response to a pending query. */
const SILENCE_THRESHOLD_MS = 200
/**
 * Probe time-out. With SILENCE_THRESHOLD_MS and timer delays, a lost server is detected within
 * about 1 s.
 */
const PROBE_TIMEOUT_MS = 700
const POLL_INTERVAL_MS = 100
/**
 * If a timer fires this late, this process was blocked, and silence proves nothing about the
 * server.
 */
const MAX_TIMER_DELAY_MS = 150

export interface HealthMonitorOptions {
  /** Runs a trivial query on a connection of its own. Rejects if there is no answer. */
  probe: (signal: AbortSignal) => Promise<unknown>
  /** Creates the error for queries whose answer will not come. */
  createLostError: () => Error
  /** Called when the server becomes unavailable and when it is available again. */
  onAvailabilityChange: (isAvailable: boolean) => void
}

/**
 * Watches whether the server responds. When it stops responding, pending queries are rejected,
 * and new ones fail at once until it responds again. A connection that is cut silently is
 * detected as fast as one that is refused.
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

  /** Probes the server while a query is pending or the server is unavailable. */
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
    // A server that is merely slow has responded to another query meanwhile.
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
      // Let the event loop read what has arrived before evaluating.
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
     * Runs work on the server while it is available. Rejects at once while it is not.
     *
     * @param work receives `isPending`: if it returns false before the work has begun, the
     *   caller has been rejected and the work must not begin
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

    /** Requests a probe because a caller saw an error. */
    probeSoon(): void {
      evaluateOnce().catch(() => {})
    },

    isLost: () => state.isLost,

    stop(): void {
      state.isStopped = true
    }
  }
}
