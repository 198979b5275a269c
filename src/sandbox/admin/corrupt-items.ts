import type { Call } from '../gateway/call.ts'
import type { Collection } from '../data/collections.ts'
import type { Row } from '../data/records.ts'

/** How an item is shown other than it is: as the bad data that turns up in the wild. */
export interface Spoil {
  /** What members say instead; a dotted name goes deeper (`fields.summary`, `version.createdAt`). */
  fields: Record<string, unknown>
  /** Members that are missing, dotted as well. */
  omit: readonly string[]
  /** How often it comes in a list, in a row. */
  repeat: number
}

export interface Spoils {
  /** By position; undefined when nothing of the collection is spoilt, so that nothing has to be looked up. */
  of: (collection: Collection) => ReadonlyMap<number, Spoil> | undefined
  /** @returns false when there are too many already */
  set: (collection: Collection, position: number, spoil: Spoil | undefined) => boolean
}

type Item = Record<string, unknown>

const MOST_SPOILT = 1000

export function createSpoils(): Spoils {
  const spoilt = new Map<Collection, Map<number, Spoil>>()
  const count = () => [...spoilt.values()].reduce((sum, { size }) => sum + size, 0)
  return {
    of: (collection) => spoilt.get(collection),
    set: (collection, position, spoil) => {
      const among = spoilt.get(collection) ?? new Map<number, Spoil>()
      if (spoil === undefined) among.delete(position)
      else if (among.has(position) || count() < MOST_SPOILT) among.set(position, spoil)
      else return false
      if (among.size > 0) spoilt.set(collection, among)
      else spoilt.delete(collection)
      return true
    }
  }
}

/** The item as it is shown. A member that this answer does not show is not spoilt in it. */
export function shown({ site }: Call, collection: Collection, { position }: Row, item: Item): Item {
  const spoil = site.spoils.of(collection)?.get(position)
  if (spoil === undefined) return item
  const changed = Object.entries(spoil.fields).reduce(
    (copy, [name, value]) => replaced(copy, name.split('.'), value),
    item
  )
  return spoil.omit.reduce((copy, name) => replaced(copy, name.split('.'), undefined), changed)
}

/** A copy with another value in one place; `undefined` is not written to JSON. What leads there is copied too, nothing shared is changed. */
function replaced(item: Item, [name, ...rest]: string[], value: unknown): Item {
  if (!Object.hasOwn(item, name)) return item
  if (rest.length === 0) return { ...item, [name]: value }
  const inner = item[name]
  return isItem(inner) ? { ...item, [name]: replaced(inner, rest, value) } : item
}

function isItem(value: unknown): value is Item {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * The first rows of `found` for a page of at most `size`, spoilt ones as often as they are to be repeated. What does not fit is
 * left out: no answer is longer than was asked for.
 *
 * @returns the page, and whether rows are left after it
 */
export function filled<R extends Row>(
  { site }: Call,
  collection: Collection,
  found: R[],
  size: number
): { page: R[]; more: boolean } {
  const spoilt = site.spoils.of(collection)
  if (spoilt === undefined) return { page: found.slice(0, size), more: found.length > size }
  const page: R[] = []
  let next = 0
  while (page.length < size && next < found.length) {
    const row = found[next++]
    const times = Math.min(spoilt.get(row.position)?.repeat ?? 1, size - page.length)
    for (let time = 0; time < times; time++) page.push(row)
  }
  return { page, more: next < found.length }
}
