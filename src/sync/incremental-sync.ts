import { OVERLAP_MS } from '../providers/paging.ts'
import type { Collection, CollectionReader } from '../providers/provider.ts'
import type { Partition } from '../store/repositories/checkpoints.ts'
import { commitProgress, type RunContext } from './context.ts'
import { createEmptyListingError, hasEmptyListing } from './empty-listing.ts'
import { prefetch } from './prefetch.ts'
import { noteUnlistedParents } from './unlisted-parents.ts'
import { createFlawError } from './listing-flaws.ts'
import { MAX_RETRY_IDS, mergeRetryIds, savePage } from './save-page.ts'
import { advanceWatermark } from './watermark.ts'

/**
 * Reads what changed after the watermark. If Atlassian cannot be asked for changes, reads
 * everything; such a listing proves no deletion.
 *
 * The window overlaps what was read before, because search lags. If it has several pages and
 * nothing newer than the watermark has appeared for the length of the overlap, it is settled: the
 * next copies begin after it.
 */
export async function runIncrementalSync(
  context: RunContext,
  collection: Collection,
  reader: CollectionReader,
  partition: Partition
): Promise<void> {
  const { settings, counters } = context
  let checkpoint = await settings.store.checkpoints.get(partition)
  reader.generation = checkpoint.generation
  if (hasEmptyListing(partition, counters)) throw createEmptyListingError(collection)
  const { retry } = checkpoint
  checkpoint = { ...checkpoint, retry: [] }
  if (retry.length > 0 && collection.fetch !== undefined) {
    const batch = await collection.fetch(reader, retry)
    await noteUnlistedParents(context, collection, partition, batch.items)
    const { generation } = checkpoint
    checkpoint = await savePage(context, partition, generation, batch, checkpoint, null)
  }
  const { watermark } = checkpoint
  const since = watermark?.getTime() ?? 0
  const startedAt = settings.now()
  const batches =
    collection.listChanges?.(reader, since, checkpoint.settledAt?.getTime() === since) ??
    collection.list({ ...reader, generation: -1 }, null)
  let [seen, pageCount, canAdvance] = [0, 0, true]
  for await (const batch of prefetch(batches)) {
    pageCount++
    seen += batch.items.length + batch.invalidItems.length
    await noteUnlistedParents(context, collection, partition, batch.items)
    // Changes that failed without an id, or beyond those that are remembered, are read again.
    canAdvance &&=
      !batch.invalidItems.some(
        ({ remoteId, code }) => remoteId === null && code === 'item_failed'
      ) && mergeRetryIds(checkpoint.retry, batch).length <= MAX_RETRY_IDS
    const newest = canAdvance ? (batch.newest ?? null) : null
    checkpoint = await savePage(
      context,
      partition,
      checkpoint.generation,
      batch,
      { ...checkpoint, watermark: advanceWatermark(checkpoint.watermark, newest) },
      null
    )
    if (batch.flaw !== undefined) throw createFlawError(batch.flaw, collection.name)
  }
  if (seen === 0 && collection.listChanges === undefined && collection.isNeverEmpty === true) {
    throw createEmptyListingError(collection)
  }
  const readAt = new Date(reader.now() - Math.max(0, settings.now() - startedAt))
  const isSettled =
    canAdvance &&
    pageCount > 1 &&
    watermark !== null &&
    checkpoint.watermark?.getTime() === since &&
    reader.clockUncertaintyMs() === 0 &&
    readAt.getTime() >= since + OVERLAP_MS
  // Also where nothing has changed, because lists say how current they are.
  await commitProgress(context, function* () {
    yield settings.store.checkpoints.saveStatement(partition, {
      ...checkpoint,
      readAt,
      settledAt: isSettled ? watermark : checkpoint.settledAt
    })
    return {}
  })
}
