/** EWMA weight: the average covers about the last 50 samples. */
const EWMA_WEIGHT = 0.02
/** Assumed service time before the first sample. */
const INITIAL_AVERAGE_MS = 2

export interface PoolWait {
  /** Requests waiting for a connection. */
  count: number
  /**
   * Estimated wait of a new request in ms: queue length times average service time, but at least
   * the time the oldest waiter has waited.
   */
  ms: number
}

/** Tracks who waits for a connection and estimates the wait of a new request. */
export function createWaitEstimator() {
  // In order of arrival, which is the order of service.
  const queue = new Set<{ since: number }>()
  let averageMs = INITIAL_AVERAGE_MS
  // When the last waiter got a connection while others waited. The interval between two such
  // moments is one service time.
  let lastAcquiredAt: number | undefined

  return {
    /** Counts the caller as waiting until `acquire` settles. */
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
