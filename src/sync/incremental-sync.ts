import type { Collection, CollectionReader } from '../providers/provider.ts'
import type { Partition } from '../store/repositories/checkpoints.ts'
import type { RunContext } from './context.ts'
import { createEmptyListingError, hasEmptyListing } from './empty-listing.ts'
import { prefetch } from './prefetch.ts'
import { savePage } from './save-page.ts'
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
  let checkpoint = await context.settings.store.checkpoints.get(partition)
  reader.generation = checkpoint.generation
  if (hasEmptyListing(partition, context.counters)) throw createEmptyListingError(collection)
  const { retry } = checkpoint
  checkpoint = { ...checkpoint, retry: [] }
  if (retry.length > 0 && collection.fetch !== undefined) {
    checkpoint = await savePage(
      context,
      partition,
      checkpoint.generation,
      await collection.fetch(reader, retry),
      checkpoint,
      null
    )
  }
  const batches =
    collection.listChanges?.(reader, checkpoint.watermark?.getTime() ?? 0) ??
    collection.list({ ...reader, generation: -1 }, null)
  let seen = 0
  for await (const batch of prefetch(batches)) {
    seen += batch.items.length + batch.invalidItems.length
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
}
