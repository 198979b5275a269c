import { hash } from './hash.ts'

const CREATED_FROM = Date.UTC(2019, 0, 1)
const MODIFIED_FROM = Date.UTC(2022, 0, 1)
const MODIFIED_TO = Date.UTC(2026, 0, 1)

/**
 * When generated items were created and last modified, in milliseconds since the epoch.
 *
 * Creation times follow the ids. Modification times follow a permutation of the ids that can be
 * computed in both directions, so a list by date can start anywhere without sorting or storing
 * anything.
 */
export interface Timeline {
  created: (position: number) => number
  modified: (position: number) => number
  /** Position of the item with this rank by modification time. */
  positionAtRank: (rank: number) => number
  /** The first rank modified at or after `time`; may be outside 0…count. */
  rankAt: (time: number) => number
  count: number
}

export function createTimeline(seed: number, count: number): Timeline {
  const size = Math.max(count, 1)
  const factor = findCoprime(hash(seed, 50, 0) % size || 1, size)
  const inverse = modularInverse(factor, size)
  const createdStep = Math.floor((MODIFIED_FROM - CREATED_FROM) / (size + 1))
  const step = Math.floor((MODIFIED_TO - MODIFIED_FROM) / (size + 1))
  return {
    count,
    created: (position) => CREATED_FROM + position * createdStep,
    modified: (position) => MODIFIED_FROM + ((position * factor) % size) * step,
    positionAtRank: (rank) => (rank * inverse) % size,
    rankAt: (time) => Math.ceil((time - MODIFIED_FROM) / step)
  }
}

function findCoprime(start: number, size: number): number {
  let factor = start
  while (greatestCommonDivisor(factor, size) !== 1) factor = (factor % size) + 1
  return factor
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}

/** Extended Euclid: x with a·x ≡ 1 (mod size). */
function modularInverse(a: number, size: number): number {
  let [old, now, x, y] = [a, size, 1, 0]
  while (now !== 0) {
    const times = Math.floor(old / now)
    ;[old, now, x, y] = [now, old - times * now, y, x - times * y]
  }
  return ((x % size) + size) % size
}
