import { evaluateFeatures } from '../connections/features.ts'
import { recordScopeRefusal } from '../connections/sites.ts'
import { AppError } from '../lib/errors.ts'
import type { Site } from '../model/site.ts'
import type { Collection, CollectionReader, Gateway } from '../providers/provider.ts'
import type { RawRow } from '../store/engine.ts'
import type { RunContext } from './context.ts'
import { deleteMissing } from './detect-deletions.ts'
import { runFullListing } from './full-listing.ts'
import { runIncrementalSync } from './incremental-sync.ts'

/**
 * Copies one collection of one site: in full where a full listing is due or was interrupted,
 * otherwise what changed after the watermark. Only a full listing detects deletions.
 */
export async function copyCollection(
  context: RunContext,
  collection: Collection,
  site: Site,
  gateway: Gateway
): Promise<void> {
  const { settings, run, provider, connectionWithGrant, log } = context
  const { store, now, fullIntervalMs } = settings
  const partition = {
    ownerId: run.ownerId,
    provider: provider.id,
    site: site.cloudId,
    collection: collection.name
  }
  const features = evaluateFeatures(provider, connectionWithGrant.grant.scopes.split(' '), {
    refusedFeatures: []
  })
  const feature = features.find(({ feature: { collection: copies } }) => copies === collection.name)
  if (feature?.isEnabled === false) {
    throw new AppError(
      'scope_missing',
      `The consent lacks scopes that ${collection.name} need (${feature.missingScopes.join(' ')}).`
    )
  }
  // Read again: bodies may have been enabled while earlier parts were synced.
  const { options } =
    (await store.connections.get(run.ownerId, provider.id))?.connection ??
    connectionWithGrant.connection
  const reader: CollectionReader = {
    ...gateway,
    site,
    generation: 0,
    includeBodies: collection.body !== undefined && options[collection.body.option] === true,
    findStored: async (name, ids) =>
      new Map(
        (await store.items(name).findByRemoteIds(run.ownerId, site.cloudId, ids)).map(
          (row: RawRow) => [String(row.remote_id), row]
        )
      )
  }
  const checkpoint = await store.checkpoints.get(partition)
  // A time in the future was written before the clock was set back, and is ignored.
  const completeAt =
    checkpoint.completeAt !== null && checkpoint.completeAt.getTime() <= now()
      ? checkpoint.completeAt.getTime()
      : 0
  const isFullDue =
    checkpoint.completeAt === null ||
    checkpoint.bodyMode !== (reader.includeBodies ? 'bodies' : '') ||
    checkpoint.cursor !== null ||
    (run.mode === 'due' && completeAt + fullIntervalMs <= now())
  const isFull = run.mode === 'full' || isFullDue
  const featureName = feature?.feature.name ?? collection.name
  try {
    if (isFull) {
      const isAlreadyListed = checkpoint.cursor === null && completeAt > run.createdAt.getTime()
      const finalCheckpoint = isAlreadyListed
        ? checkpoint
        : await runFullListing(context, collection, reader, partition)
      await deleteMissing(context, collection, reader, partition, finalCheckpoint)
    } else if (
      features.every(
        ({ feature: { enablesIncremental }, isEnabled: on }) =>
          enablesIncremental !== collection.name || on
      )
    ) {
      await runIncrementalSync(context, collection, reader, partition)
    }
    if (connectionWithGrant.connection.refusedFeatures.includes(featureName)) {
      await recordScopeRefusal(settings, connectionWithGrant, featureName, false, log)
    }
  } catch (error) {
    if (error instanceof AppError && error.code === 'scope_missing') {
      await recordScopeRefusal(settings, connectionWithGrant, featureName, true, log)
    }
    throw error
  }
}
