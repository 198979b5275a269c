import { AppError } from '../lib/errors.ts'
import type { ItemBatch, Collection, CollectionReader } from '../providers/provider.ts'
import type { Checkpoint, Partition } from '../store/repositories/checkpoints.ts'
import type { RunFailure, RunCounters } from '../store/repositories/sync-runs.ts'
import { recordRunFailure, commitProgress, type RunContext } from './context.ts'

/** At most this many failed ids are kept for a retry; the next full listing covers the rest. */
export const MAX_RETRY_IDS = 100
/** A listing interrupted for longer than this starts again. */
const MAX_CURSOR_AGE_MS = 24 * 3_600_000

/**
 * Reads the whole collection, resuming where an earlier run stopped. Items, cursor and counters
 * are saved in one transaction per upstream page, so that an interrupted run resumes at its
 * page.
 *
 * @throws AppError `listing_incomplete` at the end of a listing that cannot have been complete
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
        bodyMode,
        retry: []
      }
  reader.generation = before.generation
  const isEmptySuspicious = collection.isNeverEmpty === true || hasEmptyListing(partition, counters)
  const isFirstListing = before.completeAt === null
  let checkpoint = before
  let isIncomplete = false
  for await (const batch of prefetch(collection.list(reader, before.cursor))) {
    // Atlassian's count includes an item that is listed twice twice.
    const listed = checkpoint.listed + batch.items.length + batch.invalidItems.length
    const watermark = isFirstListing
      ? latestDate(checkpoint.watermark, findNewestChange(batch))
      : checkpoint.watermark
    checkpoint = { ...checkpoint, cursor: batch.next, listed, watermark }
    isIncomplete =
      batch.next === null &&
      (listed < (batch.minimumExpected ?? 0) || (listed === 0 && isEmptySuspicious))
    if (batch.next === null && !isIncomplete) {
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
  if (isIncomplete && checkpoint.listed === 0) throw createEmptyListingError(collection)
  if (isIncomplete) {
    throw new AppError(
      'listing_incomplete',
      `Atlassian's list of ${collection.name} ended early. Items it did not list are kept until a listing is complete.`
    )
  }
  return checkpoint
}

/**
 * Advances the generations after a complete listing: an item it did not list was missed once, or
 * twice.
 */
function completeCheckpoint(
  checkpoint: Checkpoint,
  at: Date,
  { settings: { maxShrinkRatio } }: RunContext
): Checkpoint {
  const {
    generation,
    completeGeneration,
    listed,
    listedBefore,
    watermark,
    listingStartedAt,
    completeAt
  } = checkpoint
  const hasShrunk = listed < listedBefore * (1 - maxShrinkRatio)
  return {
    ...checkpoint,
    previousGeneration: completeGeneration,
    completeGeneration: generation,
    completeAt: at,
    listedBefore: listed,
    heldAt: hasShrunk ? (checkpoint.heldAt ?? at) : null,
    heldCount: hasShrunk ? Math.max(checkpoint.heldCount, 1) : 0,
    // Changes made behind the listing's position are newer than its start.
    watermark:
      completeAt !== null || listingStartedAt === null || watermark === null
        ? (watermark ?? listingStartedAt)
        : new Date(Math.min(watermark.getTime(), listingStartedAt.getTime()))
  }
}

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
      { ...checkpoint, watermark: latestDate(checkpoint.watermark, batch.newest ?? null) },
      null
    )
  }
  if (seen === 0 && collection.listChanges === undefined && collection.isNeverEmpty === true) {
    throw createEmptyListingError(collection)
  }
}

/** An item that is retried and has changed as well counts as one failure. */
function isRecorded(
  { collection, site, remoteId }: RunFailure,
  { failures }: RunCounters
): boolean {
  return (
    remoteId !== null &&
    failures.some(
      (recorded) =>
        recorded.remoteId === remoteId &&
        recorded.collection === collection &&
        recorded.site === site
    )
  )
}

/** Whether another collection of the same site listed nothing at all in this run. */
function hasEmptyListing(
  { site: cloudId }: Partition,
  { failures }: RunContext['counters']
): boolean {
  return failures.some(({ site, code }) => site === cloudId && code === 'listing_empty')
}

function createEmptyListingError({ name }: Collection): AppError {
  return new AppError(
    'listing_empty',
    `Atlassian showed no ${name} at all. Either there are none, or the account cannot see them; nothing is deleted.`
  )
}

/** @returns the checkpoint as saved */
async function savePage(
  context: RunContext,
  partition: Partition,
  generation: number,
  batch: ItemBatch,
  next: Checkpoint,
  expected: number | null
): Promise<Checkpoint> {
  const {
    settings: { store },
    run,
    counters,
    signal
  } = context
  signal.throwIfAborted()
  const saved = new Set(batch.items.map(({ remoteId }) => remoteId))
  const failedIds = batch.invalidItems.flatMap(({ remoteId }) => remoteId ?? [])
  const checkpoint = {
    ...next,
    retry: [...new Set([...next.retry.filter((id) => !saved.has(id)), ...failedIds])].slice(
      0,
      MAX_RETRY_IDS
    )
  }
  const failures = batch.invalidItems
    .map((failed) => ({ ...failed, collection: partition.collection, site: partition.site }))
    .filter((failure) => !isRecorded(failure, counters))
  for (const failure of failures) recordRunFailure(context, failure)
  const doneBefore =
    counters.progress?.collection === partition.collection &&
    counters.progress.site === partition.site
      ? counters.progress.done
      : 0
  const progress = {
    collection: partition.collection,
    site: partition.site,
    done: Math.max(doneBefore + saved.size, next.cursor === null ? 0 : next.listed),
    expected
  }
  await commitProgress(context, function* () {
    const changes = yield* store
      .items(partition.collection)
      .upsertPage(run.ownerId, partition.site, batch.items, generation)
    yield store.checkpoints.saveStatement(partition, checkpoint)
    return {
      seen: counters.seen + changes.added + changes.changed + changes.unchanged,
      added: counters.added + changes.added,
      changed: counters.changed + changes.changed,
      skipped: counters.skipped + failures.length,
      progress
    }
  })
  return checkpoint
}

/**
 * Requests the next page before the current one is saved, so that network and disk work at the
 * same time.
 */
async function* prefetch<T>(pages: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = pages[Symbol.asyncIterator]()
  try {
    let next = iterator.next()
    while (true) {
      const { value, done } = await next
      if (done === true) return
      next = iterator.next()
      // It is awaited above, after the current page has been saved.
      next.catch(() => {})
      // Saving blocks the thread, so the request must be sent first; undici reuses the
      // connection one event-loop iteration later.
      for (let turn = 0; turn < 2; turn++) await new Promise(setImmediate)
      yield value
    }
  } finally {
    iterator.return?.().catch(() => {})
  }
}

function findNewestChange({ items }: ItemBatch): number | null {
  return items.reduce<number | null>((newest, { item }) => {
    const at = item.remoteUpdatedAt?.getTime() ?? null
    return at !== null && at > (newest ?? -Infinity) ? at : newest
  }, null)
}

function latestDate(watermark: Date | null, at: number | null): Date | null {
  return at === null || (watermark !== null && watermark.getTime() >= at) ? watermark : new Date(at)
}
