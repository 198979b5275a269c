import type { Timeline } from './timeline.ts'
import { hash } from './hash.ts'

/** What every generated thing has. Times in milliseconds since the epoch. */
export interface Row {
  position: number
  created: number
  modified: number
  version: number
}

/** `live` is the truth; `index` is what search sees, up to a minute behind (atlassian.md 9.4). */
export type View = 'live' | 'index'

/** A place in an ordered list: the row it names was the last one served. */
export interface Mark {
  value: number
  position: number
}

export interface Walk {
  order: 'id' | 'modified'
  descending?: boolean
  after?: Mark
  view?: View
  /** Only generated positions whose remainder is among these; changed rows come in any case and are for the caller to judge. */
  residues?: { of: number, among: number[] }
}

interface Touch<R> {
  row: R
  at: number
  before: R | undefined
}

export interface Source<R> {
  generate: (position: number) => R
  timeline: Timeline
  now: () => number
}

export interface Records<R extends Row> {
  /** The row at a position, or undefined when there never was one. */
  at: (position: number, view?: View) => R | undefined
  /** One past the last position in use. */
  end: () => number
  change: (position: number, patch: Partial<R>) => R
  add: (make: (position: number) => R) => R
  /** Grows with every change; what was computed from an older edition is stale. */
  edition: () => number
  touched: () => Iterable<R>
  /** Rows in order, each in constant time, from anywhere: what was changed is merged into what is generated. */
  walk: (walk: Walk) => Generator<R>
}

const LAG_MS = 60_000

/** Rows that are generated from their position, under an overlay of the few that were changed or added. */
export function createRecords<R extends Row> ({ generate, timeline, now }: Source<R>): Records<R> {
  const overlay = new Map<number, Touch<R>>()
  let end = timeline.count
  let edition = 0

  const lags = ({ at, row }: Touch<R>) => now() < at + LAG_MS / 2 + hash(0, 60, row.position) % (LAG_MS / 2)

  function at (position: number, view: View = 'live'): R | undefined {
    const touch = overlay.get(position)
    if (touch !== undefined) return view === 'index' && lags(touch) ? touch.before : touch.row
    return Number.isInteger(position) && position >= 0 && position < timeline.count ? generate(position) : undefined
  }

  function put (position: number, row: R): R {
    overlay.set(position, { row, at: now(), before: at(position, 'index') })
    edition++
    return row
  }

  function * walk (options: Walk): Generator<R> {
    const compare = comparison(options)
    const after = options.after
    const changed = [...overlay.keys()].map((position) => at(position, options.view)).filter((row) => row !== undefined)
      .filter((row) => after === undefined || compare(row, after.value, after.position) > 0)
      .sort((a, b) => compare(a, valueOf(b, options.order), b.position))
    let next = 0
    for (const position of positions(timeline, options)) {
      if (overlay.has(position)) continue
      const row = generate(position)
      while (next < changed.length && compare(changed[next], valueOf(row, options.order), position) < 0) yield changed[next++]
      yield row
    }
    yield * changed.slice(next)
  }

  return {
    at,
    walk,
    end: () => end,
    edition: () => edition,
    touched: () => [...overlay.values()].map(({ row }) => row),
    change: (position, patch) => {
      const row = at(position)
      if (row === undefined) throw new RangeError(`nothing at position ${position}`)
      return put(position, { ...row, ...patch, modified: now(), version: row.version + 1 })
    },
    add: (make) => put(end, make(end++))
  }
}

/** What a row is ordered by. */
export function valueOf (row: Row, order: Walk['order']): number {
  return order === 'id' ? row.position : row.modified
}

function comparison ({ order, descending = false }: Walk) {
  const sign = descending ? -1 : 1
  return (row: Row, value: number, position: number) => sign * (valueOf(row, order) - value || row.position - position)
}

/** Generated positions in order, strictly after the mark. */
function positions (timeline: Timeline, walk: Walk): Generator<number> {
  return walk.order === 'id' ? byId(timeline.count, walk) : byModified(timeline, walk)
}

function * byId (count: number, { after, descending = false, residues }: Walk): Generator<number> {
  const { of, among } = residues ?? { of: 1, among: [0] }
  const sorted = among.filter((residue) => residue < of).sort((a, b) => descending ? b - a : a - b)
  const start = descending ? Math.min(after?.position ?? count, count) - 1 : Math.max(after?.position ?? -1, -1) + 1
  if (sorted.length === 0) return
  for (let block = Math.floor(start / of); block >= 0 && block * of < count; block += descending ? -1 : 1) {
    for (const residue of sorted) {
      const position = block * of + residue
      const ahead = descending ? position <= start : position >= start
      if (ahead && position < count) yield position
    }
  }
}

function * byModified (timeline: Timeline, { after, descending = false }: Walk): Generator<number> {
  const { count, byRank, rankAt, modified } = timeline
  const edge = after === undefined ? (descending ? count : -1) : rankAt(after.value)
  const start = Math.max(-1, Math.min(edge, count))
  const step = descending ? -1 : 1
  for (let rank = start; descending ? rank >= 0 : rank < count; rank += step) {
    if (rank < 0 || rank >= count) continue
    const position = byRank(rank)
    const lead = after === undefined ? 1 : step * (modified(position) - after.value || position - after.position)
    if (lead > 0) yield position
  }
}
