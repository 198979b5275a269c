import type { Collection, CollectionReader } from '../providers/provider.ts'
import type { Partition } from '../store/repositories/checkpoints.ts'
import { commitProgress, type RunContext } from './context.ts'
import { createEmptyListingError, hasEmptyListing } from './empty-listing.ts'
import { prefetch } from './prefetch.ts'
import { savePage } from './save-page.ts'
import { noteUnlistedParents } from './unlisted-parents.ts'
import { advanceWatermark } from './watermark.ts'

/**
 * Reads what changed after the watermark. If Atlassian cannot be asked for changes, reads
 * everything; such a listing proves no deletion.
 */
export async function runIncrementalSync(
  context: RunContext,
  collection: Collection,
  reader: CollectionReader,
  partition: Partition
): Promise<void> {
  const { checkpoints } = context.settings.store
  const startedAt = new Date(reader.now())
  let checkpoint = await checkpoints.get(partition)
  reader.generation = checkpoint.generation
  if (hasEmptyListing(partition, context.counters)) throw createEmptyListingError(collection)
  const { retry } = checkpoint
  checkpoint = { ...checkpoint, retry: [] }
  if (retry.length > 0 && collection.fetch !== undefined) {
    const batch = await collection.fetch(reader, retry)
    await noteUnlistedParents(context, collection, partition, batch.items)
    const { generation } = checkpoint
    checkpoint = await savePage(context, partition, generation, batch, checkpoint, null)
  }
  const batches =
    collection.listChanges?.(reader, checkpoint.watermark?.getTime() ?? 0) ??
    collection.list({ ...reader, generation: -1 }, null)
  let seen = 0
  for await (const batch of prefetch(batches)) {
    seen += batch.items.length + batch.invalidItems.length
    await noteUnlistedParents(context, collection, partition, batch.items)
    checkpoint = await savePage(
      context,
      partition,
      checkpoint.generation,
      batch,
      { ...checkpoint, watermark: advanceWatermark(checkpoint.watermark, batch.newest ?? null) },
      null
    )
  }
  if (seen === 0 && collection.listChanges === undefined && collection.isNeverEmpty === true) {
    throw createEmptyListingError(collection)
  }
  // Also where nothing has changed, because lists say how current they are.
  await commitProgress(context, function* () {
    yield checkpoints.saveStatement(partition, { ...checkpoint, readAt: startedAt })
    return {}
  })
}
