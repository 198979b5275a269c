/**
 * A map whose entries expire after `lifetimeMs`. If it holds more than `limit` entries, the
 * oldest are removed.
 */
export interface ExpiringMap<V> {
  set: (key: string, value: V) => void
  /** Returns and removes an entry, so that a key works once. */
  take: (key: string) => V | undefined
  get: (key: string) => V | undefined
  clear: () => void
}

export function createExpiringMap<V>(
  lifetimeMs: number,
  maxEntries: number,
  now: () => number
): ExpiringMap<V> {
  const entries = new Map<string, { value: V; expiresAt: number }>()

  function evictExpired() {
    for (const [key, { expiresAt }] of entries) {
      if (expiresAt > now() && entries.size <= maxEntries) return
      entries.delete(key)
    }
  }

  function get(key: string) {
    const entry = entries.get(key)
    return entry !== undefined && entry.expiresAt > now() ? entry.value : undefined
  }

  return {
    get,
    set: (key, value) => {
      entries.set(key, { value, expiresAt: now() + lifetimeMs })
      evictExpired()
    },
    take: (key) => {
      const value = get(key)
      entries.delete(key)
      return value
    },
    clear: () => entries.clear()
  }
}
