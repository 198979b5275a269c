/** Smaller steps are made by time synchronisation, and harm nothing. */
const MIN_STEP_MS = 5_000

/**
 * Notices that the clock was set, by comparing it with a clock that only goes forward.
 *
 * @param now the clock, in ms since the epoch
 * @param monotonic a clock that cannot be set, in ms
 * @returns a function that returns by how many ms the clock was set since its last call; negative:
 *   back; 0: it was not
 */
export function createClockMonitor(now: () => number, monotonic: () => number): () => number {
  let offset = now() - monotonic()
  return () => {
    const current = now() - monotonic()
    const step = current - offset
    if (Math.abs(step) < MIN_STEP_MS) return 0
    offset = current
    return Math.round(step)
  }
}
