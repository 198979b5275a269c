import { AppError } from '../lib/errors.ts'
import type {
  ItemBatch,
  Collection,
  CollectionName,
  CollectionReader
} from '../providers/provider.ts'
import type { Checkpoint, Partition } from '../store/repositories/checkpoints.ts'
import type { ItemsByCollection } from '../model/items.ts'
import type { Store } from '../store/index.ts'
import type { RunFailure, RunCounters } from '../store/repositories/sync-runs.ts'
import { recordRunFailure, commitProgress, type RunContext } from './context.ts'

type AnyItemBatch = ItemBatch<ItemsByCollection[CollectionName]>

/** More ids than this are not kept to be tried again: the next full listing has them. */
export const MAX_RETRY_IDS = 100
/** A listing that was left for longer begins anew. */
const MAX_CURSOR_AGE_MS = 24 * 3_600_000

/**
 * The table of a collection. Proof of the cast: tables differ only in the columns that the collection itself reads and writes, so
 * whichever it is, handing it its own items back is right.
 */
export function getItemRepository(store: Store, name: CollectionName): Store['projects'] {
  return store[name] as unknown as Store['projects']
}

/**
 * Reads the whole collection, from where an earlier run has left off. Items, cursor and counts move in one step for each
 * upstream page, so that a run that dies goes on at its page.
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
    // A cursor that Atlassian no longer takes is no reason to fail: it begins anew.
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
    // One that comes twice is counted twice by Atlassian too.
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
      `Atlassian's list of ${collection.name} ended early. What it did not show stays until a list is complete.`
    )
  }
  return checkpoint
}

/** What a complete listing means for the next: what it did not show was missed once, or twice. */
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
    // What changed behind the listing's back is newer than its beginning.
    watermark:
      completeAt !== null || listingStartedAt === null || watermark === null
        ? (watermark ?? listingStartedAt)
        : new Date(Math.min(watermark.getTime(), listingStartedAt.getTime()))
  }
}

/** Reads what has changed since the newest change that was seen. Where Atlassian cannot be asked that, everything, which then proves no deletion. */
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

/** What is tried again and has changed as well fails once. */
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

/** A site of which something else has shown nothing at all in this run. */
function hasEmptyListing(
  { site: cloudId }: Partition,
  { failures }: RunContext['counters']
): boolean {
  return failures.some(({ site, code }) => site === cloudId && code === 'listing_empty')
}

function createEmptyListingError({ name }: Collection): AppError {
  return new AppError(
    'listing_empty',
    `Atlassian showed no ${name} at all. Either there are none, or the account may see none; nothing is deleted for that.`
  )
}

/** @returns the checkpoint as it was saved */
async function savePage(
  context: RunContext,
  partition: Partition,
  generation: number,
  batch: AnyItemBatch,
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
    const changes = yield* getItemRepository(
      store,
      partition.collection as CollectionName
    ).upsertPage(run.ownerId, partition.site, batch.items as never, generation)
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

/** Asks for the page behind before the page is saved: Atlassian is as slow as the disk, and they can be slow at the same time. */
async function* prefetch<T>(pages: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = pages[Symbol.asyncIterator]()
  try {
    let next = iterator.next()
    while (true) {
      const { value, done } = await next
      if (done === true) return
      next = iterator.next()
      // It is awaited above, when the page before has been saved.
      next.catch(() => {})
      // Saving keeps the thread busy, so the question has to be on its way before; the connection is used again a turn of the event loop later.
      for (let turn = 0; turn < 2; turn++) await new Promise(setImmediate)
      yield value
    }
  } finally {
    iterator.return?.().catch(() => {})
  }
}

function findNewestChange({ items }: AnyItemBatch): number | null {
  return items.reduce<number | null>((newest, { item }) => {
    const at = item.remoteUpdatedAt?.getTime() ?? null
    return at !== null && at > (newest ?? -Infinity) ? at : newest
  }, null)
}

function latestDate(watermark: Date | null, at: number | null): Date | null {
  return at === null || (watermark !== null && watermark.getTime() >= at) ? watermark : new Date(at)
}
