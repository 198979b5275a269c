/**
 * A small integer hash. It makes an item a pure function of (seed, stream, index), so that
 * nothing is stored.
 *
 * @param stream separates the properties of one item
 * @returns 0 to 2^32 - 1
 */
export function hash(seed: number, stream: number, index: number): number {
  let h =
    Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^
    Math.imul(stream + 1, 0xc2b2ae35) ^
    Math.imul(index + 1, 0x27d4eb2f)
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d)
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39)
  return (h ^ (h >>> 15)) >>> 0
}

/**
 * Picks one element of `list` by the hash.
 *
 * @throws RangeError for an empty list
 */
export function pick<T>(list: readonly (T & {})[], seed: number, stream: number, index: number): T {
  const item = list[hash(seed, stream, index) % list.length]
  if (item === undefined) throw new RangeError('Cannot pick from an empty list.')
  return item
}

/** A deterministic string in the format of a UUID. */
export function uuid(seed: number, stream: number, index: number): string {
  const hex = [0, 1, 2, 3]
    .map((part) =>
      hash(seed, stream * 4 + part, index)
        .toString(16)
        .padStart(8, '0')
    )
    .join('')
  const [a, b, c, d] = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(13, 16), hex.slice(17, 20)]
  return `${a}-${b}-4${c}-a${d}-${hex.slice(20, 32)}`
}
