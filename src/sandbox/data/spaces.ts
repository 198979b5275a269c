import { hash } from './hash.ts'
import { spaceKey, spaceName } from './generated-names.ts'
import { createRecords } from './records.ts'
import type { Pace, Records, Row } from './records.ts'
import { remembering } from './memoize.ts'
import { createTimeline } from './timeline.ts'

export interface SpaceRow extends Row {
  id: string
  key: string
  name: string
  type: 'global' | 'personal' | 'collaboration' | 'knowledge_base'
  status: 'current' | 'archived'
  /** Gone for everybody, and its pages with it, until it is restored. */
  deleted: boolean
}

export interface Spaces extends Records<SpaceRow> {
  byId: (id: string) => SpaceRow | undefined
  byKey: (key: string) => SpaceRow | undefined
  create: (space: { key: string; name: string }) => SpaceRow
}

const FIRST_ID = 65_536
const SPACING = 1024

export function createSpaces(seed: number, count: number, pace: Pace): Spaces {
  const timeline = createTimeline(hash(seed, 120, 0), count)
  const records = createRecords<SpaceRow>({ timeline, pace, generate: remembering(generate) })
  const idAt = (position: number) =>
    String(FIRST_ID + position * SPACING + (hash(seed, 121, position) % SPACING))

  function generate(position: number): SpaceRow {
    const key = spaceKey(seed, position)
    return {
      position,
      id: idAt(position),
      key,
      name: spaceName(seed, position),
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
    byId: (id) => {
      const row = /^\d{1,12}$/.test(id)
        ? records.at(Math.floor((Number(id) - FIRST_ID) / SPACING))
        : undefined
      return row?.id === id ? row : undefined
    },
    byKey: (key) => {
      for (const row of records.walk({ order: 'id' })) {
        if (row.key.toLowerCase() === key.toLowerCase()) return row
      }
      return undefined
    },
    create: ({ key, name }) => {
      const at = pace.now()
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
