import { setTimeout as sleep } from 'node:timers/promises'

/** A server that was asked and has said nothing for so long is looked at, */
const SILENCE_MS = 200
/** and has so long to answer the simplest of questions: together with the look, a second. */
const PROBE_MS = 700
const LOOK_MS = 100
/** A timer that comes this late says more about this process than about the server. */
const LATE_MS = 150

export interface PulseSettings {
  /** Asks the simplest of questions, on a connection of its own. Rejects where there is no answer. */
  probe: (signal: AbortSignal) => Promise<unknown>
  /** What those are told who wait for an answer that will not come. */
  lost: () => Error
  /** Told when the server is lost, and when it is back. */
  onChange: (isThere: boolean) => void
}

/**
 * Whether a server is there: as soon as it does not answer any more, whoever waits is told and nobody waits any longer, until it
 * answers again. A connection that is cut without a word is noticed as fast as one that is refused.
 */
export function createPulse({ probe, lost, onChange }: PulseSettings) {
  const state = { lost: false, closed: false, heardAt: performance.now() }
  const waiting = new Set<{ since: number; lose: (error: Error) => void }>()
  let watching: Promise<void> | undefined
  let looking: Promise<void> | undefined

  /** Looks at the server while somebody waits for it, or it is lost. */
  async function watch(): Promise<void> {
    while (!state.closed && (state.lost || waiting.size > 0)) {
      await sleep(LOOK_MS, undefined, { ref: false })
      const [oldest] = waiting
      const isSilent =
        oldest !== undefined &&
        performance.now() - Math.max(state.heardAt, oldest.since) > SILENCE_MS
      if (state.lost || isSilent) await look()
    }
  }

  function keepWatching(): void {
    watching ??= watch().finally(() => {
      watching = undefined
    })
  }

  async function look(): Promise<void> {
    looking ??= judge().finally(() => {
      looking = undefined
    })
    await looking
  }

  async function judge(): Promise<void> {
    const beganAt = performance.now()
    const said = await answers()
    // A server that is only slow has answered somebody else meanwhile.
    const verdict = said === 'no' && state.heardAt > beganAt ? 'yes' : said
    if (state.closed || verdict === 'unknown') return
    if (verdict === 'yes') state.heardAt = performance.now()
    const isLost = verdict === 'no'
    if (state.lost === isLost) return
    state.lost = isLost
    if (isLost) {
      for (const { lose } of waiting) lose(lost())
      keepWatching()
    }
    onChange(!isLost)
  }

  async function answers(): Promise<'yes' | 'no' | 'unknown'> {
    const over = new AbortController()
    const due = performance.now() + PROBE_MS
    const late = sleep(PROBE_MS, undefined, { ref: false }).then(async () => {
      const isLate = performance.now() - due > LATE_MS
      // What has arrived meanwhile is read before anybody is judged.
      await new Promise(setImmediate)
      await new Promise(setImmediate)
      return isLate ? ('unknown' as const) : ('no' as const)
    })
    return await Promise.race([
      probe(over.signal).then(
        () => 'yes' as const,
        () => 'no' as const
      ),
      late
    ]).finally(() => {
      over.abort()
    })
  }

  return {
    /**
     * Runs something on the server, for as long as it is there. Rejects at once while it is lost.
     *
     * @param work is told whether somebody still waits for it: what has not been begun by then is not to be begun any more
     */
    async during<T>(work: (isWanted: () => boolean) => Promise<T>): Promise<T> {
      if (state.lost) throw lost()
      const { promise, reject } = Promise.withResolvers<never>()
      promise.catch(() => {})
      const entry = { since: performance.now(), lose: reject }
      waiting.add(entry)
      keepWatching()
      try {
        const result = await Promise.race([work(() => waiting.has(entry)), promise])
        state.heardAt = performance.now()
        return result
      } finally {
        waiting.delete(entry)
      }
    },

    /** Somebody has seen a sign of trouble. */
    doubt(): void {
      look().catch(() => {})
    },

    isLost: () => state.lost,

    stop(): void {
      state.closed = true
    }
  }
}
