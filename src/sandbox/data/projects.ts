import { hash } from './hash.ts'
import { projectKey, projectName, projectPosition } from './generated-names.ts'
import { createRecords } from './records.ts'
import type { Pace, Records, Row } from './records.ts'
import { remembering } from './memoize.ts'
import { createTimeline } from './timeline.ts'

export const PROJECT_STATUSES = ['live', 'archived', 'deleted'] as const
export type ProjectStatus = (typeof PROJECT_STATUSES)[number]

export interface ProjectRow extends Row {
  id: string
  key: string
  name: string
  status: ProjectStatus
}

export interface Projects extends Records<ProjectRow> {
  byId: (id: string) => ProjectRow | undefined
  /** Case-insensitive, and a project still answers to the keys it had before. */
  byKey: (key: string) => ProjectRow | undefined
  /** Positions of all projects with one of these statuses, in order; computed once per edition. */
  sorted: (by: 'key' | 'name' | 'id', statuses: readonly string[]) => Uint32Array
}

const FIRST_ID = 10000

export function createProjects(seed: number, count: number, pace: Pace): Projects {
  const timeline = createTimeline(hash(seed, 100, 0), count)
  const records = createRecords<ProjectRow>({ timeline, pace, generate: remembering(generate) })
  const formerKeys = new Map<string, number>()
  const cache = new Map<string, { edition: number; positions: Uint32Array }>()

  function generate(position: number): ProjectRow {
    return {
      position,
      id: String(FIRST_ID + position),
      key: projectKey(seed, position),
      name: projectName(seed, position),
      status: 'live',
      created: timeline.created(position),
      modified: timeline.modified(position),
      version: 1
    }
  }

  function byKey(given: string) {
    const key = given.toUpperCase()
    for (const row of records.touched()) if (row.key === key) return row
    const former = formerKeys.get(key)
    const row = records.at(former ?? projectPosition(key))
    return row !== undefined && (former !== undefined || row.key === key) ? row : undefined
  }

  function sorted(by: 'key' | 'name' | 'id', statuses: readonly string[]) {
    const name = `${by} ${[...statuses].sort().join()}`
    const known = cache.get(name)
    if (known?.edition === records.edition()) return known.positions
    const rows = [...records.walk({ order: 'id' })].filter(({ status }) =>
      statuses.includes(status)
    )
    if (by !== 'id') rows.sort((a, b) => (a[by].toLowerCase() < b[by].toLowerCase() ? -1 : 1))
    const positions = Uint32Array.from(rows, ({ position }) => position)
    cache.set(name, { edition: records.edition(), positions })
    return positions
  }

  return {
    ...records,
    byKey,
    sorted,
    byId: (id) => (/^\d{1,9}$/.test(id) ? records.at(Number(id) - FIRST_ID) : undefined),
    change: (position, patch) => {
      const before = records.at(position)
      if (patch.key !== undefined && before !== undefined) formerKeys.set(before.key, position)
      return records.change(position, patch)
    },
    add: (make) =>
      records.add((position) => ({ ...make(position), id: String(FIRST_ID + position) }))
  }
}
