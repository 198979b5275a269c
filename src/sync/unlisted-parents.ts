import type { Collection } from '../providers/provider.ts'
import type { RemoteItem } from '../model/items.ts'
import type { Partition } from '../store/repositories/checkpoints.ts'
import type { RunContext } from './context.ts'

/**
 * Notes that projects or spaces have to be listed, if an item belongs to one that is not stored.
 * One that other stored items belong to is not new: the account does not see it in the listing.
 */
export async function noteUnlistedParents(
  { settings: { store }, unlistedParents }: RunContext,
  { name, parent }: Collection,
  { ownerId, site }: Partition,
  items: ReadonlyArray<Pick<RemoteItem, 'item'>>
): Promise<void> {
  if (parent === undefined || items.length === 0) return
  const keys = new Set(
    items
      .map(({ item }) => (item as Record<string, unknown>)[parent.column])
      .filter((key) => typeof key === 'string')
  )
  for (const [collection, column] of [
    [parent.collection, parent.parentColumn],
    [name, parent.column]
  ] as const) {
    if (keys.size === 0) return
    const known = await store.items(collection).listValues(ownerId, site, column, [...keys])
    for (const key of known) keys.delete(key)
  }
  if (keys.size > 0) unlistedParents.add(`${site}/${parent.collection}`)
}
