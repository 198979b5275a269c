const MAX_MEMOIZED = 10_000

/**
 * Caches the values of the first positions: many issues and pages refer to the same few projects
 * and spaces. Callers must not change a value, because it is shared.
 */
export function memoizeByPosition<T>(generate: (position: number) => T): (position: number) => T {
  const cached: T[] = []
  return (position) => {
    if (position >= MAX_MEMOIZED) return generate(position)
    cached[position] ??= generate(position)
    return cached[position]
  }
}
