import type { ItemBatch } from '../providers/provider.ts'
import type { Checkpoint, Partition } from '../store/repositories/checkpoints.ts'
import type { RunCounters, RunFailure } from '../store/repositories/sync-runs.ts'
import { commitProgress, recordRunFailure, TurnOver, type RunContext } from './context.ts'

/** At most this many failed ids are kept for a retry. */
export const MAX_RETRY_IDS = 1_000

/**
 * Saves one upstream page: its items, its failures, the checkpoint and the counters, in one
 * transaction.
 *
 * @returns the checkpoint as saved
 */
export async function savePage(
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
    signal,
    callCeiling
  } = context
  signal.throwIfAborted()
  const saved = new Set(batch.items.map(({ remoteId }) => remoteId))
  const checkpoint = {
    ...next,
    retry: mergeRetryIds(next.retry, batch).slice(0, MAX_RETRY_IDS)
  }
  const failures = batch.invalidItems
    .map(({ remoteId, code, detail }) => ({
      remoteId,
      code,
      detail,
      collection: partition.collection,
      site: partition.site
    }))
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
  let newlyListed = 0
  await commitProgress(context, function* () {
    const changes = yield* store
      .items(partition.collection)
      .upsertPage(run.ownerId, partition.site, batch.items, generation)
    yield store.checkpoints.saveStatement(partition, checkpoint)
    // The script may run again, so it counts nothing up.
    newlyListed = changes.newlyListed
    return {
      seen: counters.seen + changes.added + changes.changed + changes.unchanged,
      added: counters.added + changes.added,
      changed: counters.changed + changes.changed,
      skipped: counters.skipped + failures.length,
      progress
    }
  })
  if (newlyListed > 0) callCeiling.allowProgress()
  // Between two pages nothing is lost: the run goes on from the checkpoint.
  if (next.cursor !== null && (await context.isTurnOver())) throw new TurnOver()
  return checkpoint
}

/** The ids to retry after a batch. More than `MAX_RETRY_IDS` cannot be kept. */
export function mergeRetryIds(retry: readonly string[], batch: ItemBatch): string[] {
  const saved = new Set(batch.items.map(({ remoteId }) => remoteId))
  const failedIds = batch.invalidItems.flatMap(({ remoteId, isStored }) =>
    isStored === true ? [] : (remoteId ?? [])
  )
  return [...new Set([...retry.filter((id) => !saved.has(id)), ...failedIds])]
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
