import { AppError } from '../lib/errors.ts'
import type { Collection, CollectionReader, ItemBatch } from '../providers/provider.ts'
import type { Checkpoint, Partition } from '../store/repositories/checkpoints.ts'
import type { RunContext } from './context.ts'
import { createEmptyListingError, hasEmptyListing } from './empty-listing.ts'
import { prefetch } from './prefetch.ts'
import { createFlawError, findFlaw, isFatalFlaw } from './listing-flaws.ts'
import { MAX_RETRY_IDS, mergeRetryIds, savePage } from './save-page.ts'
import { advanceWatermark } from './watermark.ts'

/** A listing interrupted for longer than this starts again. */
const MAX_CURSOR_AGE_MS = 24 * 3_600_000

/**
 * Reads the whole collection, resuming where an earlier run stopped. Items, cursor and counters
 * are saved in one transaction per upstream page, so that an interrupted run resumes at its
 * page.
 *
 * @throws AppError `listing_incomplete`, `listing_empty` or `upstream_repeats_pages` at the end of
 *   a listing that cannot have been complete
 */
export async function runFullListing(
  context: RunContext,
  collection: Collection,
  reader: CollectionReader,
  partition: Partition
): Promise<Checkpoint> {
  const { checkpoints } = context.settings.store
  const before = await checkpoints.get(partition)
  try {
    return await runListing(context, collection, reader, partition, before)
  } catch (error) {
    // If Atlassian no longer accepts the cursor, the listing starts again instead of failing.
    const isRefused =
      error instanceof AppError &&
      error.upstreamStatus === 400 &&
      before.cursor !== null &&
      (await checkpoints.get(partition)).cursor === before.cursor
    if (!isRefused) throw error
    return await runListing(context, collection, reader, partition, { ...before, cursor: null })
  }
}

async function runListing(
  context: RunContext,
  collection: Collection,
  reader: CollectionReader,
  partition: Partition,
  previous: Checkpoint
): Promise<Checkpoint> {
  const {
    settings: { now },
    counters
  } = context
  const bodyMode = reader.includeBodies ? 'bodies' : ''
  const isResumed =
    previous.cursor !== null &&
    previous.bodyMode === bodyMode &&
    (previous.listingStartedAt?.getTime() ?? 0) > reader.now() - MAX_CURSOR_AGE_MS
  const before = isResumed
    ? previous
    : {
        ...previous,
        generation: previous.generation + 1,
        cursor: null,
        listingStartedAt: new Date(reader.now()),
        listed: 0,
        flaw: null,
        bodyMode,
        retry: []
      }
  const startedAt = now()
  reader.generation = before.generation
  const isEmptySuspicious = collection.isNeverEmpty === true || hasEmptyListing(partition, counters)
  const isFirstListing = before.completeAt === null
  let checkpoint = before
  let isEmpty = false
  for await (const batch of prefetch(collection.list(reader, before.cursor))) {
    // Only a response tells Atlassian's time.
    if (!isResumed && checkpoint === before) {
      checkpoint = {
        ...checkpoint,
        listingStartedAt: new Date(reader.now() - Math.max(0, now() - startedAt))
      }
    }
    const listed =
      (batch.isRestart === true ? 0 : checkpoint.listed) +
      batch.items.length +
      batch.invalidItems.length
    const watermark = isFirstListing
      ? advanceWatermark(checkpoint.watermark, findNewestChange(batch))
      : checkpoint.watermark
    const flaw = exceedsRetryIds(checkpoint, batch)
      ? 'too_many_failures'
      : findFlaw(checkpoint.flaw, batch)
    checkpoint = { ...checkpoint, cursor: batch.next, listed, watermark, flaw }
    isEmpty = batch.next === null && listed === 0 && isEmptySuspicious
    if (batch.next === null && !isEmpty && !isFatalFlaw(flaw)) {
      checkpoint = completeCheckpoint(checkpoint, new Date(now()), context)
    }
    checkpoint = await savePage(
      context,
      partition,
      reader.generation,
      batch,
      checkpoint,
      batch.expected ?? (before.listedBefore || null)
    )
  }
  if (isFatalFlaw(checkpoint.flaw)) throw createFlawError(checkpoint.flaw, collection.name)
  if (isEmpty) throw createEmptyListingError(collection)
  return checkpoint
}

function exceedsRetryIds({ retry }: Checkpoint, batch: ItemBatch): boolean {
  return mergeRetryIds(retry, batch).length > MAX_RETRY_IDS
}

/**
 * Advances the generations after a complete listing: an item it did not list was missed once, or
 * twice. A listing with undelivered items is no evidence, and the generations stay.
 */
function completeCheckpoint(
  checkpoint: Checkpoint,
  at: Date,
  { settings: { maxShrinkRatio } }: RunContext
): Checkpoint {
  const { generation, completeGeneration, listed, listedBefore, flaw } = checkpoint
  if (flaw !== null) {
    const { listingStartedAt: readAt } = checkpoint
    return { ...checkpoint, completeAt: at, readAt, watermark: resolveWatermark(checkpoint) }
  }
  const hasShrunk = listed < listedBefore * (1 - maxShrinkRatio)
  return {
    ...checkpoint,
    previousGeneration: completeGeneration,
    completeGeneration: generation,
    completeAt: at,
    readAt: checkpoint.listingStartedAt,
    listedBefore: listed,
    heldAt: hasShrunk ? (checkpoint.heldAt ?? at) : null,
    heldCount: hasShrunk ? Math.max(checkpoint.heldCount, 1) : 0,
    watermark: resolveWatermark(checkpoint)
  }
}

/** Changes made behind the listing's position are newer than its start. */
function resolveWatermark({ watermark, listingStartedAt, completeAt }: Checkpoint): Date | null {
  return completeAt !== null || listingStartedAt === null || watermark === null
    ? (watermark ?? listingStartedAt)
    : new Date(Math.min(watermark.getTime(), listingStartedAt.getTime()))
}

function findNewestChange({ items }: ItemBatch): number | null {
  return items.reduce<number | null>((newest, { item }) => {
    const at = item.remoteUpdatedAt?.getTime() ?? null
    return at !== null && at > (newest ?? -Infinity) ? at : newest
  }, null)
}
