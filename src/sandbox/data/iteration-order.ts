import type { Row } from './row.ts'
import type { Timeline } from './timeline.ts'

/** A position in an ordered list: the last row that was served. */
export interface ScanPosition {
  value: number
  position: number
}

export interface ScanOrder {
  order: 'id' | 'modified'
  descending?: boolean
  after?: ScanPosition | undefined
  /**
   * Limits generated positions to these remainders. Edited rows are always included; the caller
   * filters them.
   */
  residues?: { modulus: number; classes: number[] }
}

/** The value that orders a row. */
export function sortValue(row: Row, order: ScanOrder['order']): number {
  return order === 'id' ? row.position : row.modified
}

/** Yields the positions of generated rows in order, strictly after `scanOrder.after`. */
export function scanPositions(timeline: Timeline, scanOrder: ScanOrder): Generator<number> {
  return scanOrder.order === 'id'
    ? scanById(timeline.count, scanOrder)
    : scanByModified(timeline, scanOrder)
}

function* scanById(
  count: number,
  { after, descending = false, residues }: ScanOrder
): Generator<number> {
  const { modulus, classes } = residues ?? { modulus: 1, classes: [0] }
  const remainders = classes
    .filter((residue) => residue < modulus)
    .sort((a, b) => (descending ? b - a : a - b))
  const start = descending
    ? Math.min(after?.position ?? count, count) - 1
    : Math.max(after?.position ?? -1, -1) + 1
  if (remainders.length === 0) return
  for (
    let block = Math.floor(start / modulus);
    block >= 0 && block * modulus < count;
    block += descending ? -1 : 1
  ) {
    for (const residue of remainders) {
      const position = block * modulus + residue
      const isAhead = descending ? position <= start : position >= start
      if (isAhead && position < count) yield position
    }
  }
}

function* scanByModified(
  timeline: Timeline,
  { after, descending = false, residues }: ScanOrder
): Generator<number> {
  const { count, positionAtRank, rankAt, modified } = timeline
  const edgeRank = after === undefined ? (descending ? count : -1) : rankAt(after.value)
  const start = Math.max(-1, Math.min(edgeRank, count))
  const step = descending ? -1 : 1
  const classSet = residues && new Set(residues.classes)
  for (let rank = start; descending ? rank >= 0 : rank < count; rank += step) {
    if (rank < 0 || rank >= count) continue
    const position = positionAtRank(rank)
    if (residues !== undefined && classSet?.has(position % residues.modulus) === false) continue
    const distance =
      after === undefined
        ? 1
        : step * (modified(position) - after.value || position - after.position)
    if (distance > 0) yield position
  }
}
