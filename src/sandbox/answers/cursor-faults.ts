const MAX_REMEMBERED = 10_000

/** A run of empty pages: how many are left, and the cursor of the rest of the listing. */
export interface EmptyRun {
  left: number
  /** Undefined if the listing ends after the empty pages. */
  rest: string | undefined
  cursors: readonly string[]
}

/** What the cursor faults of a site remember. Each map keeps a limited number of cursors. */
export interface CursorFaults {
  emptyRuns: Map<string, EmptyRun>
  /** Cursors that lead to each other. */
  partners: Map<string, string>
  /** Cursors of listings that had already ended; they lead to empty pages. */
  ends: Set<string>
  /** The page size that a cursor was made with. */
  sizes: Map<string, string>
  /** Removes the oldest entries beyond the limit. */
  trim: () => void
  /** A number that no earlier cursor contains. */
  nextNumber: () => number
  clear: () => void
}

export function createCursorFaults(): CursorFaults {
  const parts = {
    emptyRuns: new Map<string, EmptyRun>(),
    partners: new Map<string, string>(),
    ends: new Set<string>(),
    sizes: new Map<string, string>()
  }
  let count = 0
  return {
    ...parts,
    nextNumber: () => ++count,
    trim: () => {
      for (const part of Object.values(parts)) {
        for (const key of part.keys()) {
          if (part.size <= MAX_REMEMBERED) break
          part.delete(key)
        }
      }
    },
    clear: () => {
      for (const part of Object.values(parts)) part.clear()
    }
  }
}
