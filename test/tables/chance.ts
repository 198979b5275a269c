/** Numbers below 1, the same for the same seed (mulberry32). */
export function chance(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * The seed of this run: SEED, else another one each time in the heavy run and always the same one in the light run, which
 * decides whether a change lands. Print it, so that a failure can be had again.
 */
export function seed(): number {
  return Number(
    process.env.SEED ?? (process.env.HEAVY === '1' ? Math.floor(Math.random() * 2 ** 32) : 1)
  )
}

/** Up to `most` of the pieces in a row. */
export function jumble(random: () => number, pieces: readonly string[], most: number): string {
  return Array.from(
    { length: 1 + Math.floor(random() * most) },
    () => pieces[Math.floor(random() * pieces.length)]
  ).join('')
}
