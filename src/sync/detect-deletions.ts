import { isId } from '../providers/paging.ts'
import type { Collection, CollectionReader, ItemBatch } from '../providers/provider.ts'
import type { Checkpoint, Partition } from '../store/repositories/checkpoints.ts'
import type { UnlistedRow } from '../store/repositories/item-tombstones.ts'
import { MAX_RETRY_IDS, savePage } from './save-page.ts'
import { commitProgress, type RunContext } from './context.ts'

/** Missing items per look-up, and tombstones per transaction. */
const LOOK_UP_BATCH_SIZE = 1_000
const TOMBSTONE_BATCH_SIZE = 200

/**
 * Deletes what is missing, after a complete full listing. Each item that the listing did not
 * contain is looked up directly, however many there are: it is deleted if it is gone while a
 * listed neighbour is found, and stored if it is found. An item whose look-up proves nothing
 * stays (docs/reference/atlassian.md#87-bulk-fetch and #11-errors). Where nothing at all is
 * listed there is no neighbour, and only what two listings did not contain is looked up. A
 * listing that shrank by more than the limit deletes nothing.
 */
export async function deleteMissing(
  context: RunContext,
  collection: Collection,
  reader: CollectionReader,
  partition: Partition,
  checkpoint: Checkpoint
): Promise<void> {
  const { store } = context.settings
  const { completeGeneration, previousGeneration, heldAt, flaw } = checkpoint
  // Items that failed are not deleted. If more failed than are remembered, nobody can tell which
  // items are missing.
  if (checkpoint.retry.length >= MAX_RETRY_IDS || flaw !== null) return
  const table = store.items(partition.collection)
  const control = await table.findAnyListed(partition.ownerId, partition.site, completeGeneration)
  let current = checkpoint
  let heldDeletions = 0
  for await (const batch of table.findUnlisted(
    partition.ownerId,
    partition.site,
    completeGeneration
  )) {
    const failedIds = new Set(current.retry)
    const unlisted = batch.filter(
      ({ remoteId, generation }) =>
        !failedIds.has(remoteId) && (control !== undefined || generation < previousGeneration)
    )
    if (heldAt !== null) {
      heldDeletions += batch.filter(({ remoteId }) => !failedIds.has(remoteId)).length
      continue
    }
    for (let i = 0; i < unlisted.length; i += LOOK_UP_BATCH_SIZE) {
      const candidates = unlisted.slice(i, i + LOOK_UP_BATCH_SIZE)
      context.callCeiling.allowLookUps(candidates.length)
      const { items, invalidItems, goneIds } = await collection.lookUp(
        reader,
        candidates.map(({ remoteId }) => remoteId),
        control
      )
      current = await saveFound(context, partition, { items, invalidItems, next: null }, current)
      // An id that no request can name is gone if two listings did not contain it.
      const gone = new Set([
        ...goneIds,
        ...candidates
          .filter(({ remoteId, generation }) => !isId(remoteId) && generation < previousGeneration)
          .map(({ remoteId }) => remoteId)
      ])
      await writeTombstones(
        context,
        partition,
        candidates.filter(({ remoteId }) => gone.has(remoteId))
      )
    }
  }
  if (heldAt === null) return
  context.counters.held += heldDeletions
  await commitProgress(context, function* () {
    yield store.checkpoints.saveStatement(partition, {
      ...checkpoint,
      heldCount: heldDeletions,
      heldAt: heldDeletions === 0 ? null : heldAt
    })
    return {}
  })
}

/** Saves items that exist although the listing did not contain them. */
async function saveFound(
  context: RunContext,
  partition: Partition,
  batch: ItemBatch,
  checkpoint: Checkpoint
): Promise<Checkpoint> {
  if (batch.items.length + batch.invalidItems.length === 0) return checkpoint
  const { completeGeneration } = checkpoint
  return await savePage(context, partition, completeGeneration, batch, checkpoint, null)
}

async function writeTombstones(
  context: RunContext,
  partition: Partition,
  rows: UnlistedRow[]
): Promise<void> {
  const {
    settings: { store },
    counters
  } = context
  for (let i = 0; i < rows.length; i += TOMBSTONE_BATCH_SIZE) {
    const batch = rows.slice(i, i + TOMBSTONE_BATCH_SIZE)
    await commitProgress(context, function* () {
      return {
        removed:
          counters.removed +
          (yield* store.items(partition.collection).writeTombstones(partition.ownerId, batch))
      }
    })
  }
}
