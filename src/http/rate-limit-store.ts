/** Hits in a window that closes after `remainingMs`. */
export interface WindowCount {
  count: number
  remainingMs: number
}

type AddHits = (bucket: string, hits: number, windowMs: number) => Promise<WindowCount>

interface HitBatch {
  hits: number
  count: Promise<WindowCount>
}

/** Callers over their limit that are cached; evicted ones are counted in the database again. */
const MAX_CACHED_BUCKETS = 10_000

/**
 * Counter that several instances share through the database. Hits of a bucket that arrive while a
 * statement is in flight join one batch, and callers over the limit are rejected from memory
 * until the window closes, so a flood costs few statements.
 */
export function createSharedCounter(add: AddHits, now: () => number) {
  const pendingByBucket = new Map<
    string,
    { inFlight: Promise<WindowCount>; next: HitBatch | undefined }
  >()
  const exceededByBucket = new Map<string, { count: number; until: number }>()

  /** Counts one hit. @returns the count including it; the cached count for a caller over the limit */
  return async function hit(bucket: string, windowMs: number, max: number): Promise<WindowCount> {
    const cached = exceededByBucket.get(bucket)
    if (cached !== undefined) {
      const remainingMs = cached.until - now()
      // Longer than the window: the clock was set back since.
      if (remainingMs > 0 && remainingMs <= windowMs) return { count: cached.count, remainingMs }
      exceededByBucket.delete(bucket)
    }
    const position = { laterHits: 0 }
    const total = await joinBatch(bucket, windowMs, position)
    // Hits of one batch get distinct counts by their position in the batch.
    const count = total.count - position.laterHits
    if (total.count > max) {
      cacheExceeded(bucket, { count: total.count, until: now() + total.remainingMs })
    }
    return { count, remainingMs: total.remainingMs }
  }

  /**
   * Joins the next statement. Sets `position.laterHits` to the number of hits that joined the
   * batch later.
   */
  async function joinBatch(
    bucket: string,
    windowMs: number,
    position: { laterHits: number }
  ): Promise<WindowCount> {
    const state = pendingByBucket.get(bucket)
    if (state === undefined) return await send(bucket, add(bucket, 1, windowMs))
    if (state.next === undefined) {
      const newBatch: HitBatch = {
        hits: 0,
        count: state.inFlight
          .catch(() => {})
          .then(async () => await send(bucket, add(bucket, newBatch.hits, windowMs)))
      }
      state.next = newBatch
    }
    const batch = state.next
    const ownHit = ++batch.hits
    const count = await batch.count
    position.laterHits = batch.hits - ownHit
    return count
  }

  async function send(bucket: string, inFlight: Promise<WindowCount>): Promise<WindowCount> {
    const state: { inFlight: Promise<WindowCount>; next: HitBatch | undefined } = {
      inFlight,
      next: undefined
    }
    pendingByBucket.set(bucket, state)
    try {
      return await inFlight
    } finally {
      if (state.next === undefined) pendingByBucket.delete(bucket)
    }
  }

  function cacheExceeded(bucket: string, entry: { count: number; until: number }): void {
    const oldest =
      exceededByBucket.size >= MAX_CACHED_BUCKETS ? exceededByBucket.keys().next().value : undefined
    if (oldest !== undefined) exceededByBucket.delete(oldest)
    exceededByBucket.set(bucket, entry)
  }
}
