import { hash } from './hash.ts'
import { positions, valueOf } from './iteration-order.ts'
import type { Course } from './iteration-order.ts'
import type { Timeline } from './timeline.ts'

/** What every generated thing has. Times in milliseconds since the epoch. */
export interface Row {
  position: number
  created: number
  modified: number
  version: number
}

/** `live` is the truth; `index` is what search sees, a little behind (atlassian.md 8.3, 9.4). */
export type View = 'live' | 'index'

/** World time, and how far search may be behind it. Milliseconds. */
export interface Pace {
  now: () => number
  lagMs: () => number
}

export interface Walk extends Course {
  view?: View
  /** Positions that are seen live in any view. */
  live?: ReadonlySet<number>
}

/** A change, on top of those that the index may not have seen either. */
interface Touch<R> {
  row: R
  at: number
  earlier: Touch<R> | undefined
}

export interface Source<R> {
  generate: (position: number) => R
  timeline: Timeline
  pace: Pace
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
  /** To be called before the lag is changed, so that search does not go back in time. */
  settle: () => void
  /** Rows in order, each in constant time, from anywhere: what was changed is merged into what is generated. */
  walk: (walk: Walk) => Generator<R>
}

const HASHES = 2 ** 32

/** Rows that are generated from their position, under an overlay of the few that were changed or added. Rows are never changed in place. */
export function createRecords<R extends Row>({
  generate,
  timeline,
  pace: { now, lagMs }
}: Source<R>): Records<R> {
  const overlay = new Map<number, Touch<R>>()
  const sorted = new Map<Walk['order'], { edition: number; rows: R[] }>()
  let end = timeline.count
  let edition = 0

  /** Each item has a delay of its own, between half the lag and all of it. */
  const lags = ({ at, row }: Touch<R>) =>
    now() < at + (lagMs() / 2) * (1 + hash(0, 60, row.position) / HASHES)
  const original = (position: number) =>
    Number.isInteger(position) && position >= 0 && position < timeline.count
      ? generate(position)
      : undefined

  function at(position: number, view: View = 'live'): R | undefined {
    const newest = overlay.get(position)
    const touch = view === 'index' ? indexed(newest) : newest
    return touch?.row ?? original(position)
  }

  /** The last change that search has seen. What lies before it will not be looked at again. */
  function indexed(newest: Touch<R> | undefined): Touch<R> | undefined {
    let touch = newest
    while (touch !== undefined && lags(touch)) touch = touch.earlier
    if (touch !== undefined) touch.earlier = undefined
    return touch
  }

  function put(position: number, row: R): R {
    const last = overlay.get(position)
    indexed(last)
    const earlier = last?.at === now() ? last.earlier : last
    overlay.set(position, { row, at: now(), earlier })
    edition++
    return row
  }

  /** What search has seen stays seen. */
  function settle() {
    for (const newest of overlay.values()) {
      const touch = indexed(newest)
      if (touch !== undefined) touch.at = -Infinity
    }
  }

  /** What was changed or added, as the view has it, ascending. The index moves with the time, so only the truth can be kept. */
  function changes({ order, view, live }: Walk): R[] {
    const known = sorted.get(order)
    if (view !== 'index' && known?.edition === edition) return known.rows
    const rows = [...overlay.keys()]
      .map((position) => at(position, live?.has(position) ? 'live' : view))
      .filter((row) => row !== undefined)
      .sort((a, b) => valueOf(a, order) - valueOf(b, order) || a.position - b.position)
    if (view !== 'index') sorted.set(order, { edition, rows })
    return rows
  }

  function* walk(options: Walk): Generator<R> {
    const { after, order, descending = false } = options
    const compare = comparison(options)
    const ahead = changes(options).filter(
      (row) => after === undefined || compare(row, after.value, after.position) > 0
    )
    const changed = descending ? ahead.reverse() : ahead
    let next = 0
    for (const position of positions(timeline, options)) {
      if (overlay.has(position)) continue
      const row = generate(position)
      while (next < changed.length && compare(changed[next], valueOf(row, order), position) < 0) {
        yield changed[next++]
      }
      yield row
    }
    yield* changed.slice(next)
  }

  return {
    at,
    walk,
    settle,
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

function comparison({ order, descending = false }: Walk) {
  const sign = descending ? -1 : 1
  return (row: Row, value: number, position: number) =>
    sign * (valueOf(row, order) - value || row.position - position)
}
