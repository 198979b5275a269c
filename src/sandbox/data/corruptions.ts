import type { CollectionName } from './collections.ts'
import type { Row } from './row.ts'

/** Replaces parts of an item in responses, as invalid data of real sites would. */
interface Corruption {
  /**
   * New values of members; a dotted name addresses a nested member (`fields.summary`,
   * `version.createdAt`).
   */
  fields: Record<string, unknown>
  /** Members to leave out; dotted names as in `fields`. */
  omit: readonly string[]
  /** How many times in a row a list contains the item. */
  repeat: number
}

export interface Corruptions {
  /**
   * By position; undefined if the collection has no corruptions, so that lists can skip the
   * lookups.
   */
  forCollection: (collection: CollectionName) => ReadonlyMap<number, Corruption> | undefined
  /** @returns false if the maximum number of corruptions is reached */
  set: (collection: CollectionName, position: number, corruption: Corruption | undefined) => boolean
}

/** The part of a call that this module uses. */
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

/** Applies the item's corruption. Members that the response does not contain stay absent. */
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

/**
 * Returns a copy with one member replaced; JSON omits a member that is `undefined`. Copies each
 * object on the path, because rows share objects.
 */
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
 * Takes the next page of `found`, with repeated items as often as their corruption says. A page
 * has at most `size` items; repetitions beyond that are dropped.
 *
 * @returns the page, and whether rows remain after it
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
