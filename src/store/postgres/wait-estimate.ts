/** Of what is new in the pace, so that it is that of the last fifty or so. */
const WEIGHT = 0.02
/** Before anything is known. */
const FIRST_PACE_MS = 2

export interface Waiting {
  /** How many wait. */
  count: number
  /** For how long, in ms, who comes now will: by the pace of late, and no less than the first in the line has waited already. */
  ms: number
}

/** Who waits for a connection, and how fast the line moves. */
export function createLine() {
  // In the order of coming, which is that of being served.
  const line = new Set<{ since: number }>()
  let paceMs = FIRST_PACE_MS
  // When somebody was served while others waited; the time between two of these is what one takes.
  let servedAt: number | undefined

  return {
    /** Waits in the line until `served` resolves. */
    async stand<T>(served: () => Promise<T>): Promise<T> {
      const place = { since: performance.now() }
      line.add(place)
      try {
        return await served()
      } finally {
        line.delete(place)
        const now = performance.now()
        if (servedAt !== undefined) paceMs += (now - servedAt - paceMs) * WEIGHT
        servedAt = line.size > 0 ? now : undefined
      }
    },

    waiting(): Waiting {
      const [first] = line
      return {
        count: line.size,
        ms: first === undefined ? 0 : Math.max(performance.now() - first.since, line.size * paceMs)
      }
    }
  }
}
