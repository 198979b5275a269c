import { hash } from './hash.ts'
import { generateSpaceKey, generateSpaceName } from './generated-names.ts'
import { createRecords } from './records.ts'
import type { LagClock, Records } from './records.ts'
import type { Row } from './row.ts'
import { memoizeByPosition } from './memoize.ts'
import { createTimeline } from './timeline.ts'

export const SPACE_STATUSES = ['current', 'archived', 'trashed'] as const

export interface SpaceRow extends Row {
  id: string
  key: string
  name: string
  type: 'global' | 'personal' | 'collaboration' | 'knowledge_base'
  /** The pages of a trashed space are not visible. */
  status: (typeof SPACE_STATUSES)[number]
  /** Hides the space and its pages from everybody until it is restored. */
  deleted: boolean
}

export interface Spaces extends Records<SpaceRow> {
  findById: (id: string) => SpaceRow | undefined
  findByKey: (key: string) => SpaceRow | undefined
  create: (space: { key: string; name: string }) => SpaceRow
}

const FIRST_ID = 65_536
const ID_SPACING = 1024

export function createSpaces(seed: number, count: number, lagClock: LagClock): Spaces {
  const timeline = createTimeline(hash(seed, 120, 0), count)
  const records = createRecords<SpaceRow>({
    timeline,
    lagClock,
    generate: memoizeByPosition(generate)
  })
  const idAt = (position: number) =>
    String(FIRST_ID + position * ID_SPACING + (hash(seed, 121, position) % ID_SPACING))

  function generate(position: number): SpaceRow {
    const key = generateSpaceKey(seed, position)
    return {
      position,
      id: idAt(position),
      key,
      name: generateSpaceName(seed, position),
      type: key.startsWith('~') ? 'personal' : position % 9 === 7 ? 'knowledge_base' : 'global',
      status: position % 11 === 7 ? 'archived' : 'current',
      deleted: false,
      created: timeline.created(position),
      modified: timeline.modified(position),
      version: 1
    }
  }

  return {
    ...records,
    findById: (id) => {
      const row = /^\d{1,12}$/.test(id)
        ? records.at(Math.floor((Number(id) - FIRST_ID) / ID_SPACING))
        : undefined
      return row?.id === id ? row : undefined
    },
    findByKey: (key) => {
      for (const row of records.scan({ order: 'id' })) {
        if (row.key.toLowerCase() === key.toLowerCase()) return row
      }
      return undefined
    },
    create: ({ key, name }) => {
      const at = lagClock.now()
      return records.add((position) => ({
        position,
        id: idAt(position),
        key,
        name,
        type: key.startsWith('~') ? 'personal' : 'global',
        status: 'current',
        deleted: false,
        created: at,
        modified: at,
        version: 1
      }))
    }
  }
}
