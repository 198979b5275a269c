/** A map that forgets: entries die after `lifetimeMs`, and the oldest make room when there are more than `limit`. */
export interface ExpiringMap<V> {
  set: (key: string, value: V) => void
  /** Removes and returns, so that a key works once. */
  take: (key: string) => V | undefined
  get: (key: string) => V | undefined
  clear: () => void
}

export function createExpiringMap<V>(
  lifetimeMs: number,
  limit: number,
  now: () => number
): ExpiringMap<V> {
  const entries = new Map<string, { value: V; until: number }>()

  function trim() {
    for (const [key, { until }] of entries) {
      if (until > now() && entries.size <= limit) return
      entries.delete(key)
    }
  }

  function get(key: string) {
    const entry = entries.get(key)
    return entry !== undefined && entry.until > now() ? entry.value : undefined
  }

  return {
    get,
    set: (key, value) => {
      entries.set(key, { value, until: now() + lifetimeMs })
      trim()
    },
    take: (key) => {
      const value = get(key)
      entries.delete(key)
      return value
    },
    clear: () => entries.clear()
  }
}
