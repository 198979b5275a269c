/**
 * Remembers what was computed of an owner's items, for their latest version only.
 *
 * @param maxEntries the entry that was set first makes place for a new one
 */
export function createVersionCache<Value>(maxEntries: number) {
  const entries = new Map<string, { seq: number; value: Value }>()
  return {
    /** @param seq the position of the owner's change feed: another one is another version */
    get(key: string, seq: number): Value | undefined {
      const entry = entries.get(key)
      return entry?.seq === seq ? entry.value : undefined
    },
    set(key: string, seq: number, value: Value): void {
      entries.delete(key)
      const oldest = entries.size >= maxEntries ? entries.keys().next().value : undefined
      if (oldest !== undefined) entries.delete(oldest)
      entries.set(key, { seq, value })
    }
  }
}
