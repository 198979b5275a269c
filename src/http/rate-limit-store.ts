/** Counts in a window; `leftMs`: until it closes. */
export interface Count {
  count: number
  leftMs: number
}

type Add = (bucket: string, hits: number, windowMs: number) => Promise<Count>

interface Round {
  hits: number
  count: Promise<Count>
}

/** As many callers are remembered as being over their limit; who is forgotten is counted again. */
const MOST_REMEMBERED = 10_000

/**
 * Counts that several instances share. Hits of one bucket that come while an earlier one is on its way to the database travel
 * together, and who is over the limit is refused without asking again until the window closes: a flood costs few statements.
 */
export function createSharedCounts(add: Add, now: () => number) {
  const under = new Map<string, { flying: Promise<Count>; next: Round | undefined }>()
  const over = new Map<string, { count: number; until: number }>()

  /** One hit. @returns the count that it made, or a later one */
  return async function hit(bucket: string, windowMs: number, most: number): Promise<Count> {
    const known = over.get(bucket)
    if (known !== undefined) {
      if (known.until > now()) return { count: known.count, leftMs: known.until - now() }
      over.delete(bucket)
    }
    const own = { number: 0 }
    const found = await joined(bucket, windowMs, own)
    // Hits that travelled together are told apart: the first of them had the fewest before it.
    const count = found.count - own.number
    if (found.count > most) remember(bucket, { count: found.count, until: now() + found.leftMs })
    return { count, leftMs: found.leftMs }
  }

  /** Travels with the next statement. `own.number`: how many of the same statement came later. */
  async function joined(bucket: string, windowMs: number, own: { number: number }): Promise<Count> {
    const state = under.get(bucket)
    if (state === undefined) return await fly(bucket, add(bucket, 1, windowMs))
    if (state.next === undefined) {
      const round: Round = {
        hits: 0,
        count: state.flying
          .catch(() => {})
          .then(async () => await fly(bucket, add(bucket, round.hits, windowMs)))
      }
      state.next = round
    }
    const round = state.next
    const place = ++round.hits
    const count = await round.count
    own.number = round.hits - place
    return count
  }

  async function fly(bucket: string, flying: Promise<Count>): Promise<Count> {
    const state: { flying: Promise<Count>; next: Round | undefined } = { flying, next: undefined }
    under.set(bucket, state)
    try {
      return await flying
    } finally {
      if (state.next === undefined) under.delete(bucket)
    }
  }

  function remember(bucket: string, what: { count: number; until: number }): void {
    const oldest = over.size >= MOST_REMEMBERED ? over.keys().next().value : undefined
    if (oldest !== undefined) over.delete(oldest)
    over.set(bucket, what)
  }
}
