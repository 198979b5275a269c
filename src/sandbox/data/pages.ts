import { hash } from './hash.ts'
import { generateTitle } from './generated-names.ts'
import { createRecords } from './records.ts'
import type { LagClock, Records } from './records.ts'
import type { Row } from './row.ts'
import { createTimeline } from './timeline.ts'
import type { Spaces } from './spaces.ts'

export const PAGE_STATUSES = ['current', 'archived', 'trashed', 'deleted'] as const
type PageStatus = (typeof PAGE_STATUSES)[number]

export interface PageRow extends Row {
  id: string
  /** Position of the space. */
  space: number
  status: PageStatus
  title?: string | undefined
  /** Storage format. */
  body?: string | undefined
}

export interface Pages extends Records<PageRow> {
  title: (row: PageRow) => string
  storageBody: (row: PageRow) => string
  /**
   * Position of the page above, unless the page is below a container (`findParent`). Undefined
   * for the homepage, which is the first page of a space.
   */
  parentPosition: (row: PageRow) => number | undefined
  /** Whether it is the first page of its space. */
  isHomepage: (row: PageRow) => boolean
  /** The id at a position, without generating the page. */
  idAt: (position: number) => string
  findById: (id: string) => PageRow | undefined
  create: (page: {
    space: number
    title?: string | undefined
    body?: string | undefined
  }) => PageRow
  /** Number of spaces among which the generated pages are distributed. */
  spaceCount: number
}

const FIRST_ID = 20_000_000
const ID_SPACING = 32
const CHILDREN_PER_PAGE = 5

/** Assigns pages to spaces in turn, so that listing the pages of one space needs no search. */
export function createPages(
  seed: number,
  count: number,
  spaces: Spaces,
  lagClock: LagClock
): Pages {
  const size = spaces.end() === 0 ? 0 : count
  const ownerCount = Math.max(spaces.end(), 1)
  const timeline = createTimeline(hash(seed, 130, 0), size)
  const records = createRecords<PageRow>({ timeline, lagClock, generate })
  const idAt = (position: number) =>
    String(FIRST_ID + position * ID_SPACING + (hash(seed, 131, position) % ID_SPACING))

  function generate(position: number): PageRow {
    const homepage = position < ownerCount
    return {
      position,
      id: idAt(position),
      space: position % ownerCount,
      status: !homepage && hash(seed, 132, position) % 40 === 0 ? 'archived' : 'current',
      created: timeline.created(position),
      modified: timeline.modified(position),
      version: 1 + (hash(seed, 133, position) % 9)
    }
  }

  function create({
    space,
    title,
    body
  }: {
    space: number
    title?: string | undefined
    body?: string | undefined
  }) {
    const at = lagClock.now()
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

  function parentPosition({ position }: PageRow) {
    const turn = Math.floor(position / ownerCount)
    return turn === 0
      ? undefined
      : (position % ownerCount) + Math.floor((turn - 1) / CHILDREN_PER_PAGE) * ownerCount
  }

  return {
    ...records,
    create,
    parentPosition,
    idAt,
    isHomepage: ({ position }) => position < ownerCount,
    spaceCount: ownerCount,
    title: (row) => row.title ?? generateTitle(hash(seed, 134, 0), row.position),
    storageBody: (row) => row.body ?? `<p>Page ${row.position + 1}, revision ${row.version}.</p>`,
    findById: (id) => {
      const row = /^\d{1,12}$/.test(id)
        ? records.at(Math.floor((Number(id) - FIRST_ID) / ID_SPACING))
        : undefined
      return row?.id === id ? row : undefined
    }
  }
}
