import { hash } from './hash.ts'
import { generateProjectKey, generateProjectName, findProjectPosition } from './generated-names.ts'
import { createRecords } from './records.ts'
import type { LagClock, Records } from './records.ts'
import type { Row } from './row.ts'
import { memoizeByPosition } from './memoize.ts'
import { createTimeline } from './timeline.ts'

export const PROJECT_STATUSES = ['live', 'archived', 'deleted'] as const
type ProjectStatus = (typeof PROJECT_STATUSES)[number]

export interface ProjectRow extends Row {
  id: string
  key: string
  name: string
  status: ProjectStatus
}

export interface Projects extends Records<ProjectRow> {
  findById: (id: string) => ProjectRow | undefined
  /** Ignores case, and also finds a project by its earlier keys. */
  findByKey: (key: string) => ProjectRow | undefined
  /** Positions of all projects with one of these statuses, in order; cached per revision. */
  sortedPositions: (by: 'key' | 'name' | 'id', statuses: readonly string[]) => Uint32Array
}

const FIRST_ID = 10000

export function createProjects(seed: number, count: number, lagClock: LagClock): Projects {
  const timeline = createTimeline(hash(seed, 100, 0), count)
  const records = createRecords<ProjectRow>({
    timeline,
    lagClock,
    generate: memoizeByPosition(generate)
  })
  const formerKeys = new Map<string, number>()
  const cache = new Map<string, { revision: number; positions: Uint32Array }>()

  function generate(position: number): ProjectRow {
    return {
      position,
      id: String(FIRST_ID + position),
      key: generateProjectKey(seed, position),
      name: generateProjectName(seed, position),
      status: 'live',
      created: timeline.created(position),
      modified: timeline.modified(position),
      version: 1
    }
  }

  function findByKey(projectKey: string) {
    const key = projectKey.toUpperCase()
    for (const row of records.editedRows()) if (row.key === key) return row
    const formerPosition = formerKeys.get(key)
    const row = records.at(formerPosition ?? findProjectPosition(key))
    return row !== undefined && (formerPosition !== undefined || row.key === key) ? row : undefined
  }

  function sortedPositions(by: 'key' | 'name' | 'id', statuses: readonly string[]) {
    const name = `${by} ${[...statuses].sort().join()}`
    const cached = cache.get(name)
    if (cached?.revision === records.revision()) return cached.positions
    const rows = [...records.scan({ order: 'id' })].filter(({ status }) =>
      statuses.includes(status)
    )
    if (by !== 'id') rows.sort((a, b) => (a[by].toLowerCase() < b[by].toLowerCase() ? -1 : 1))
    const positions = Uint32Array.from(rows, ({ position }) => position)
    cache.set(name, { revision: records.revision(), positions })
    return positions
  }

  return {
    ...records,
    findByKey,
    sortedPositions,
    findById: (id) => (/^\d{1,9}$/.test(id) ? records.at(Number(id) - FIRST_ID) : undefined),
    change: (position, patch) => {
      const before = records.at(position)
      if (patch.key !== undefined && before !== undefined) formerKeys.set(before.key, position)
      return records.change(position, patch)
    },
    add: (createRow) =>
      records.add((position) => ({ ...createRow(position), id: String(FIRST_ID + position) }))
  }
}
