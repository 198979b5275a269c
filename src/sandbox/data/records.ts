import { hash } from './hash.ts'
import { scanPositions, sortValue } from './iteration-order.ts'
import type { ScanOrder } from './iteration-order.ts'
import type { Row } from './row.ts'
import type { Timeline } from './timeline.ts'

/**
 * `live` is the current data; `index` is what search returns, which lags behind
 * (docs/reference/atlassian.md#83-jql-search and #94-cql-search).
 */
export type RecordView = 'live' | 'index'

/** The sandbox's time, and the maximum lag of search, in milliseconds. */
export interface LagClock {
  now: () => number
  lagMs: () => number
}

export interface Scan extends ScanOrder {
  view?: RecordView
  /** Positions that are read live in any view. */
  live?: ReadonlySet<number> | undefined
}

/** An edit, linked to earlier ones that the index may not have seen yet. */
interface Edit<R> {
  row: R
  at: number
  previous: Edit<R> | undefined
}

export interface RecordSource<R> {
  generate: (position: number) => R
  timeline: Timeline
  lagClock: LagClock
}

export interface Records<R extends Row> {
  /** The row at a position; undefined if there has never been one. */
  at: (position: number, view?: RecordView) => R | undefined
  /** One more than the last position in use. */
  end: () => number
  change: (position: number, patch: Partial<R>) => R
  add: (createRow: (position: number) => R) => R
  /** Increases with every edit; values computed for an earlier revision are stale. */
  revision: () => number
  editedRows: () => Iterable<R>
  /** Call it before the lag changes, so that search does not return to an earlier state. */
  settleIndex: () => void
  /**
   * Rows in order, from any position, in constant time per row. Merges edited rows into
   * generated ones.
   */
  scan: (options: Scan) => Generator<R>
}

const HASH_RANGE = 2 ** 32

/**
 * Generates rows from their position, and overlays the few that were edited or added. Rows are
 * immutable.
 */
export function createRecords<R extends Row>({
  generate,
  timeline,
  lagClock: { now, lagMs }
}: RecordSource<R>): Records<R> {
  const overlay = new Map<number, Edit<R>>()
  const sorted = new Map<Scan['order'], { revision: number; rows: R[] }>()
  let end = timeline.count
  let revision = 0

  /** Each item has its own delay, between half the lag and the full lag. */
  const isUnindexed = ({ at, row }: Edit<R>) =>
    now() < at + (lagMs() / 2) * (1 + hash(0, 60, row.position) / HASH_RANGE)
  const generateAt = (position: number) =>
    Number.isInteger(position) && position >= 0 && position < timeline.count
      ? generate(position)
      : undefined

  function at(position: number, view: RecordView = 'live'): R | undefined {
    const newest = overlay.get(position)
    const edit = view === 'index' ? findLatestIndexed(newest) : newest
    return edit?.row ?? generateAt(position)
  }

  /** The latest edit that search has seen. Drops earlier edits, which are no longer needed. */
  function findLatestIndexed(newest: Edit<R> | undefined): Edit<R> | undefined {
    let edit = newest
    while (edit !== undefined && isUnindexed(edit)) edit = edit.previous
    if (edit !== undefined) edit.previous = undefined
    return edit
  }

  function saveEdit(position: number, row: R): R {
    const last = overlay.get(position)
    findLatestIndexed(last)
    const previous = last?.at === now() ? last.previous : last
    overlay.set(position, { row, at: now(), previous })
    revision++
    return row
  }

  /** Keeps what search has seen visible to search. */
  function settleIndex() {
    for (const newest of overlay.values()) {
      const edit = findLatestIndexed(newest)
      if (edit !== undefined) edit.at = -Infinity
    }
  }

  /**
   * Edited and added rows of the view, ascending. Caches only the live view, because the index
   * changes with time.
   */
  function listEdits({ order, view, live }: Scan): R[] {
    const cached = sorted.get(order)
    if (view !== 'index' && cached?.revision === revision) return cached.rows
    const rows = [...overlay.keys()]
      .map((position) => at(position, live?.has(position) ? 'live' : view))
      .filter((row) => row !== undefined)
      .sort((a, b) => sortValue(a, order) - sortValue(b, order) || a.position - b.position)
    if (view !== 'index') sorted.set(order, { revision, rows })
    return rows
  }

  function* scan(options: Scan): Generator<R> {
    const { after, order, descending = false } = options
    const compare = createComparator(options)
    const remaining = listEdits(options).filter(
      (row) => after === undefined || compare(row, after.value, after.position) > 0
    )
    const changed = descending ? remaining.reverse() : remaining
    let next = 0
    for (const position of scanPositions(timeline, options)) {
      if (overlay.has(position)) continue
      const row = generate(position)
      let edited = changed[next]
      while (edited !== undefined && compare(edited, sortValue(row, order), position) < 0) {
        yield edited
        edited = changed[++next]
      }
      yield row
    }
    yield* changed.slice(next)
  }

  return {
    at,
    scan,
    settleIndex,
    end: () => end,
    revision: () => revision,
    editedRows: () => [...overlay.values()].map(({ row }) => row),
    change: (position, patch) => {
      const row = at(position)
      if (row === undefined) throw new RangeError(`no row at position ${position}`)
      return saveEdit(position, { ...row, ...patch, modified: now(), version: row.version + 1 })
    },
    add: (createRow) => saveEdit(end, createRow(end++))
  }
}

function createComparator({ order, descending = false }: Scan) {
  const sign = descending ? -1 : 1
  return (row: Row, value: number, position: number) =>
    sign * (sortValue(row, order) - value || row.position - position)
}
