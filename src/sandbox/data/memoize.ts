const MAX_MEMOIZED = 10_000

/**
 * Keeps what was generated for the first positions: for the few projects and spaces that each of many issues and pages names.
 * What comes out is shared, so nobody may change it.
 */
export function memoizeByPosition<T>(generate: (position: number) => T): (position: number) => T {
  const cached: T[] = []
  return (position) => {
    if (position >= MAX_MEMOIZED) return generate(position)
    cached[position] ??= generate(position)
    return cached[position]
  }
}
