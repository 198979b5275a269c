/** Share of a caller's flows that are deleted at once, so that not every login deletes one. */
const EVICTION_SHARE = 1 / 20
/** Flows of one caller deleted at once, more than a caller starts between two deletions. */
export const EVICTION_BATCH_SIZE = 1_000
/** Callers whose logins are counted; beyond them counting starts anew. */
const MAX_COUNTED_CALLERS = 10_000

/** Decides when a caller's oldest flows are deleted. */
export function createEvictionSchedule() {
  /** Flows that a caller has started since the last deletion. */
  const startedCounts = new Map<string, number>()

  return {
    /**
     * Counts one more flow of a caller.
     *
     * @returns how many flows the caller keeps now; undefined if nothing needs to be deleted. Fewer
     *   than `maxFlows`, so that there are at most `maxFlows` before the next deletion. Each other
     *   process adds at most a twentieth to that
     */
    countStart(quotaKey: string, maxFlows: number): number | undefined {
      const step = Math.min(
        Math.max(1, Math.floor(maxFlows * EVICTION_SHARE)),
        EVICTION_BATCH_SIZE / 2
      )
      // A caller that this process does not know may have as many flows as it can.
      const startedCount = (startedCounts.get(quotaKey) ?? step - 1) + 1
      const isDue = startedCount >= step
      if (startedCounts.size >= MAX_COUNTED_CALLERS) startedCounts.clear()
      startedCounts.set(quotaKey, isDue ? 0 : startedCount)
      return isDue ? maxFlows - step + 1 : undefined
    },

    /** A start has failed, and with it the deletion: the next one repeats it. */
    repeat(quotaKey: string): void {
      startedCounts.set(quotaKey, EVICTION_BATCH_SIZE)
    }
  }
}
