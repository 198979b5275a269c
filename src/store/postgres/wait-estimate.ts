/** Of what is new in the pace, so that it is that of the last fifty or so. */
const EWMA_WEIGHT = 0.02
/** Before anything is known. */
const INITIAL_AVERAGE_MS = 2

export interface PoolWait {
  /** How many wait. */
  count: number
  /** For how long, in ms, who comes now will: by the pace of late, and no less than the first in the line has waited already. */
  ms: number
}

/** Who waits for a connection, and how fast the line moves. */
export function createWaitEstimator() {
  // In the order of coming, which is that of being served.
  const queue = new Set<{ since: number }>()
  let averageMs = INITIAL_AVERAGE_MS
  // When somebody was served while others waited; the time between two of these is what one takes.
  let lastAcquiredAt: number | undefined

  return {
    /** Waits in the line until `served` resolves. */
    async track<T>(acquire: () => Promise<T>): Promise<T> {
      const waiter = { since: performance.now() }
      queue.add(waiter)
      try {
        return await acquire()
      } finally {
        queue.delete(waiter)
        const now = performance.now()
        if (lastAcquiredAt !== undefined) {
          averageMs += (now - lastAcquiredAt - averageMs) * EWMA_WEIGHT
        }
        lastAcquiredAt = queue.size > 0 ? now : undefined
      }
    },

    estimateWait(): PoolWait {
      const [first] = queue
      return {
        count: queue.size,
        ms:
          first === undefined
            ? 0
            : Math.max(performance.now() - first.since, queue.size * averageMs)
      }
    }
  }
}
