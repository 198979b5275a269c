import type { Row } from './records.ts'
import type { Timeline } from './timeline.ts'

/** A place in an ordered list: the row it names was the last one served. */
export interface Mark {
  value: number
  position: number
}

export interface Course {
  order: 'id' | 'modified'
  descending?: boolean
  after?: Mark
  /** Only generated positions whose remainder is among these; changed rows come in any case and are for the caller to judge. */
  residues?: { of: number; among: number[] }
}

/** What a row is ordered by. */
export function valueOf(row: Row, order: Course['order']): number {
  return order === 'id' ? row.position : row.modified
}

/** Generated positions in order, strictly after the mark. */
export function positions(timeline: Timeline, course: Course): Generator<number> {
  return course.order === 'id' ? byId(timeline.count, course) : byModified(timeline, course)
}

function* byId(count: number, { after, descending = false, residues }: Course): Generator<number> {
  const { of, among } = residues ?? { of: 1, among: [0] }
  const sorted = among
    .filter((residue) => residue < of)
    .sort((a, b) => (descending ? b - a : a - b))
  const start = descending
    ? Math.min(after?.position ?? count, count) - 1
    : Math.max(after?.position ?? -1, -1) + 1
  if (sorted.length === 0) return
  for (
    let block = Math.floor(start / of);
    block >= 0 && block * of < count;
    block += descending ? -1 : 1
  ) {
    for (const residue of sorted) {
      const position = block * of + residue
      const ahead = descending ? position <= start : position >= start
      if (ahead && position < count) yield position
    }
  }
}

function* byModified(
  timeline: Timeline,
  { after, descending = false, residues }: Course
): Generator<number> {
  const { count, byRank, rankAt, modified } = timeline
  const edge = after === undefined ? (descending ? count : -1) : rankAt(after.value)
  const start = Math.max(-1, Math.min(edge, count))
  const step = descending ? -1 : 1
  const among = residues && new Set(residues.among)
  for (let rank = start; descending ? rank >= 0 : rank < count; rank += step) {
    if (rank < 0 || rank >= count) continue
    const position = byRank(rank)
    if (residues !== undefined && among?.has(position % residues.of) === false) continue
    const lead =
      after === undefined
        ? 1
        : step * (modified(position) - after.value || position - after.position)
    if (lead > 0) yield position
  }
}
