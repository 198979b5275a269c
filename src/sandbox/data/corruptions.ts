import type { CollectionName } from './collections.ts'
import type { Row } from './row.ts'

/** How an item is shown other than it is: as the bad data that turns up in the wild. */
interface Corruption {
  /** What members say instead; a dotted name goes deeper (`fields.summary`, `version.createdAt`). */
  fields: Record<string, unknown>
  /** Members that are missing, dotted as well. */
  omit: readonly string[]
  /** How often it comes in a list, in a row. */
  repeat: number
}

export interface Corruptions {
  /** By position; undefined when nothing of the collection is spoilt, so that nothing has to be looked up. */
  forCollection: (collection: CollectionName) => ReadonlyMap<number, Corruption> | undefined
  /** @returns false when there are too many already */
  set: (collection: CollectionName, position: number, corruption: Corruption | undefined) => boolean
}

/** A call, as far as this file needs it. */
interface CorruptibleCall {
  site: { corruptions: Corruptions }
}

type JsonObject = Record<string, unknown>

const MAX_CORRUPTIONS = 1000

export function createCorruptions(): Corruptions {
  const byCollection = new Map<CollectionName, Map<number, Corruption>>()
  const count = () => [...byCollection.values()].reduce((sum, { size }) => sum + size, 0)
  return {
    forCollection: (collection) => byCollection.get(collection),
    set: (collection, position, corruption) => {
      const byPosition = byCollection.get(collection) ?? new Map<number, Corruption>()
      if (corruption === undefined) byPosition.delete(position)
      else if (byPosition.has(position) || count() < MAX_CORRUPTIONS) {
        byPosition.set(position, corruption)
      } else return false
      if (byPosition.size > 0) byCollection.set(collection, byPosition)
      else byCollection.delete(collection)
      return true
    }
  }
}

/** The item as it is shown. A member that this answer does not show is not spoilt in it. */
export function applyCorruption(
  { site }: CorruptibleCall,
  collection: CollectionName,
  { position }: Row,
  item: JsonObject
): JsonObject {
  const corruption = site.corruptions.forCollection(collection)?.get(position)
  if (corruption === undefined) return item
  const withFields = Object.entries(corruption.fields).reduce(
    (copy, [name, value]) => replaceMember(copy, name.split('.'), value),
    item
  )
  return corruption.omit.reduce(
    (copy, name) => replaceMember(copy, name.split('.'), undefined),
    withFields
  )
}

/** A copy with another value in one place; `undefined` is not written to JSON. What leads there is copied too, nothing shared is changed. */
function replaceMember(item: JsonObject, [name, ...rest]: string[], value: unknown): JsonObject {
  if (name === undefined || !Object.hasOwn(item, name)) return item
  if (rest.length === 0) return { ...item, [name]: value }
  const inner = item[name]
  return isJsonObject(inner) ? { ...item, [name]: replaceMember(inner, rest, value) } : item
}

function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * The first rows of `found` for a page of at most `size`, spoilt ones as often as they are to be repeated. What does not fit is
 * left out: no answer is longer than was asked for.
 *
 * @returns the page, and whether rows are left after it
 */
export function paginateRows<R extends Row>(
  { site }: CorruptibleCall,
  collection: CollectionName,
  rows: R[],
  size: number
): { page: R[]; hasMore: boolean } {
  const corruptions = site.corruptions.forCollection(collection)
  if (corruptions === undefined) return { page: rows.slice(0, size), hasMore: rows.length > size }
  const page: R[] = []
  let next = 0
  for (const row of rows) {
    if (page.length >= size) break
    next++
    const times = Math.min(corruptions.get(row.position)?.repeat ?? 1, size - page.length)
    for (let time = 0; time < times; time++) page.push(row)
  }
  return { page, hasMore: next < rows.length }
}
