import { hash } from './hash.ts'

/** What a page can be below, other than a page. */
export type ContainerType = 'folder' | 'database' | 'whiteboard'
export type ParentType = 'page' | ContainerType

/** A folder, database or whiteboard of a space. */
export interface ContainerRow {
  id: string
  type: ContainerType
  title: string
  /** Position of the space. */
  space: number
  /** Undefined at the root of the space. */
  parent: { type: ParentType; id: string } | undefined
  /** Place among the siblings. */
  position: number
  created: number
}

export interface Containers {
  findById: (id: string) => ContainerRow | undefined
  /** The folder, database or whiteboard with this index in a space. */
  ofSpace: (space: number, index: number) => ContainerRow | undefined
  list: () => Generator<ContainerRow>
}

/** Each space has these, nested as `parent` says. */
const LAYOUT: ReadonlyArray<{
  type: ContainerType
  title: string
  /** An index in this list, the homepage, or the root of the space. */
  parent: number | 'homepage' | 'root'
}> = [
  { type: 'folder', title: 'Meetings', parent: 'homepage' },
  { type: 'folder', title: 'Meetings 2025', parent: 0 },
  { type: 'database', title: 'Decisions', parent: 1 },
  { type: 'whiteboard', title: 'Ideas', parent: 'root' }
]
export const CONTAINERS_PER_SPACE = LAYOUT.length
/** Below the ids of pages, so that no id belongs to both. */
const FIRST_ID = 10_000_000
const ID_SPACING = 16
const CREATED_AT = Date.UTC(2025, 0, 1)

/**
 * @param spaceCount the spaces that exist from the beginning; later ones have no containers
 * @param homepageId the id of a space's homepage; undefined if it has none
 */
export function createContainers(
  seed: number,
  spaceCount: number,
  homepageId: (space: number) => string | undefined
): Containers {
  const idAt = (number: number) =>
    String(FIRST_ID + number * ID_SPACING + (hash(seed, 170, number) % ID_SPACING))

  function at(number: number): ContainerRow | undefined {
    if (!Number.isInteger(number) || number < 0) return undefined
    const [index, space] = [number % LAYOUT.length, Math.floor(number / LAYOUT.length)]
    const entry = LAYOUT[index]
    const homepage = homepageId(space)
    if (space >= spaceCount || entry === undefined || homepage === undefined) return undefined
    const { type, title, parent } = entry
    return {
      id: idAt(number),
      type,
      title: `${title} ${space + 1}`,
      space,
      parent:
        parent === 'root'
          ? undefined
          : parent === 'homepage'
            ? { type: 'page', id: homepage }
            : { type: LAYOUT[parent]?.type ?? 'folder', id: idAt(number - index + parent) },
      position: index,
      created: CREATED_AT + number
    }
  }

  return {
    findById: (id) => {
      const row = /^\d{1,12}$/.test(id)
        ? at(Math.floor((Number(id) - FIRST_ID) / ID_SPACING))
        : undefined
      return row?.id === id ? row : undefined
    },
    ofSpace: (space, index) => at(space * LAYOUT.length + index),
    *list() {
      for (let number = 0; number < spaceCount * LAYOUT.length; number++) {
        const row = at(number)
        if (row !== undefined) yield row
      }
    }
  }
}
