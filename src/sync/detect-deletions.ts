import type { Collection, CollectionReader } from '../providers/provider.ts'
import type { Checkpoint, Partition } from '../store/repositories/checkpoints.ts'
import type { UnlistedRow } from '../store/repositories/item-tombstones.ts'
import { MAX_RETRY_IDS } from './save-page.ts'
import { commitProgress, type RunContext } from './context.ts'

/** Items looked up individually per run; the rest wait for the next full listing. */
const MAX_LOOKUPS = 20
const TOMBSTONE_BATCH_SIZE = 200

/**
 * Deletes what is missing, after a complete full listing. An item that two complete listings did
 * not show is deleted. An item that only this one did not show is deleted if a direct look-up
 * does not find it while it finds a listed neighbour: lost access looks like a deletion, but
 * then the neighbour is not found either (docs/reference/atlassian.md#11-errors). A listing that
 * shrank by more than the limit deletes nothing.
 */
export async function deleteMissing(
  context: RunContext,
  collection: Collection,
  reader: CollectionReader,
  partition: Partition,
  checkpoint: Checkpoint
): Promise<void> {
  const {
    settings: { store },
    counters
  } = context
  const { completeGeneration, previousGeneration, heldAt, retry } = checkpoint
  // Items that were listed but invalid are not deleted. If more were invalid than
  // `retry` can hold, the missing items are unknown.
  if (retry.length >= MAX_RETRY_IDS) return
  const table = store.items(partition.collection)
  const candidates: UnlistedRow[] = []
  let heldDeletions = 0
  for await (const batch of table.findUnlisted(
    partition.ownerId,
    partition.site,
    completeGeneration
  )) {
    const unlisted = batch.filter(({ remoteId }) => !retry.includes(remoteId))
    if (heldAt !== null) {
      heldDeletions += unlisted.length
      continue
    }
    const missedTwice = unlisted.filter(({ generation }) => generation < previousGeneration)
    for (let i = 0; i < missedTwice.length; i += TOMBSTONE_BATCH_SIZE) {
      await writeTombstones(context, partition, missedTwice.slice(i, i + TOMBSTONE_BATCH_SIZE))
    }
    candidates.push(
      ...unlisted
        .filter(({ generation }) => generation >= previousGeneration)
        .slice(0, MAX_LOOKUPS - candidates.length)
    )
  }
  if (heldAt !== null) {
    counters.held += heldDeletions
    await commitProgress(context, function* () {
      yield store.checkpoints.saveStatement(partition, {
        ...checkpoint,
        heldCount: heldDeletions,
        heldAt: heldDeletions === 0 ? null : heldAt
      })
      return {}
    })
    return
  }
  if (candidates.length === 0) return
  const controlId = await table.findAnyListed(partition.ownerId, partition.site, completeGeneration)
  if (controlId === undefined || !(await collection.exists(reader, controlId))) return
  for (const candidate of candidates) {
    if ((await collection.exists(reader, candidate.remoteId)) === false) {
      await writeTombstones(context, partition, [candidate])
    }
  }
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
  await commitProgress(context, function* () {
    return {
      removed:
        counters.removed +
        (yield* store.items(partition.collection).writeTombstones(partition.ownerId, rows))
    }
  })
}
