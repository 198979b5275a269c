import { hash } from './hash.ts'
import { title } from './generated-names.ts'
import { createRecords } from './records.ts'
import type { Pace, Records, Row } from './records.ts'
import { createTimeline } from './timeline.ts'
import type { Spaces } from './spaces.ts'

export const PAGE_STATUSES = ['current', 'archived', 'trashed', 'deleted'] as const
export type PageStatus = (typeof PAGE_STATUSES)[number]

export interface PageRow extends Row {
  id: string
  /** Position of the space. */
  space: number
  status: PageStatus
  title?: string
  /** Storage format. */
  body?: string
}

export interface Pages extends Records<PageRow> {
  title: (row: PageRow) => string
  storage: (row: PageRow) => string
  /** Position of the parent; undefined for the first page of a space, its homepage. */
  parent: (row: PageRow) => number | undefined
  /** What it is called, without making the whole parent. */
  parentId: (row: PageRow) => string | null
  byId: (id: string) => PageRow | undefined
  create: (page: { space: number; title?: string; body?: string }) => PageRow
  /** Spaces the generated pages take turns over. */
  spaces: number
}

const FIRST_ID = 20_000_000
const SPACING = 32
const SIBLINGS = 5

/** Pages take turns over the spaces, so that those of one space can be listed from anywhere without a search. */
export function createPages(seed: number, count: number, spaces: Spaces, pace: Pace): Pages {
  const size = spaces.end() === 0 ? 0 : count
  const owners = Math.max(spaces.end(), 1)
  const timeline = createTimeline(hash(seed, 130, 0), size)
  const records = createRecords<PageRow>({ timeline, pace, generate })
  const idAt = (position: number) =>
    String(FIRST_ID + position * SPACING + (hash(seed, 131, position) % SPACING))

  function generate(position: number): PageRow {
    const homepage = position < owners
    return {
      position,
      id: idAt(position),
      space: position % owners,
      status: !homepage && hash(seed, 132, position) % 40 === 0 ? 'archived' : 'current',
      created: timeline.created(position),
      modified: timeline.modified(position),
      version: 1 + (hash(seed, 133, position) % 9)
    }
  }

  function create({ space, title, body }: { space: number; title?: string; body?: string }) {
    const at = pace.now()
    return records.add((position) => ({
      position,
      id: idAt(position),
      space,
      status: 'current',
      title,
      body,
      created: at,
      modified: at,
      version: 1
    }))
  }

  function parent({ position }: PageRow) {
    const turn = Math.floor(position / owners)
    return turn === 0 ? undefined : (position % owners) + Math.floor((turn - 1) / SIBLINGS) * owners
  }

  return {
    ...records,
    create,
    parent,
    parentId: (row) => {
      const position = parent(row)
      return position === undefined ? null : idAt(position)
    },
    spaces: owners,
    title: (row) => row.title ?? title(hash(seed, 134, 0), row.position),
    storage: (row) => row.body ?? `<p>Page ${row.position + 1}, revision ${row.version}.</p>`,
    byId: (id) => {
      const row = /^\d{1,12}$/.test(id)
        ? records.at(Math.floor((Number(id) - FIRST_ID) / SPACING))
        : undefined
      return row?.id === id ? row : undefined
    }
  }
}
