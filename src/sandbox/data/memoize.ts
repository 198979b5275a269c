const MOST_KEPT = 10_000

/**
 * Keeps what was generated for the first positions: for the few projects and spaces that each of many issues and pages names.
 * What comes out is shared, so nobody may change it.
 */
export function remembering<T>(generate: (position: number) => T): (position: number) => T {
  const kept: T[] = []
  return (position) => {
    if (position >= MOST_KEPT) return generate(position)
    kept[position] ??= generate(position)
    return kept[position]
  }
}
