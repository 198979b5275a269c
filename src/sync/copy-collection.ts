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
import { isParent, measurePart } from './measured-points.ts'

/**
 * Copies one collection of one site: in full where a full listing is due or was interrupted,
 * otherwise what changed after the watermark. Only a full listing detects deletions.
 *
 * @returns false if there was nothing to do yet
 */
export async function copyCollection(
  context: RunContext,
  collection: Collection,
  site: Site,
  gateway: Gateway
): Promise<boolean> {
  const { settings, run, provider, connectionWithGrant, log, plan, unlistedParents } = context
  const { store, now } = settings
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
    findStored: async (name, ids, withLongTexts) =>
      new Map(
        (
          await store.items(name).findByRemoteIds(run.ownerId, site.cloudId, ids, withLongTexts)
        ).map((row: RawRow) => [String(row.remote_id), row])
      )
  }
  const checkpoint = await store.checkpoints.get(partition)
  context.callCeiling.allowPart(checkpoint.listedBefore)
  // A time in the future was written before the clock was set back, and is ignored.
  const completeAt =
    checkpoint.completeAt !== null && checkpoint.completeAt.getTime() <= now()
      ? checkpoint.completeAt.getTime()
      : 0
  const { clientId: app } = connectionWithGrant.grant
  const canStartFullRun = () =>
    settings.budget.canStartFullRun({ app, site: site.cloudId, endpoint: '' }, plan.fullPoints)
  const isFullDue =
    checkpoint.completeAt === null ||
    checkpoint.bodyMode !== (reader.includeBodies ? 'bodies' : '') ||
    checkpoint.cursor !== null ||
    (run.mode === 'due' && plan.getNextFullAt(completeAt) <= now() && canStartFullRun())
  const isFull = run.mode === 'full' || isFullDue
  const featureName = feature?.feature.name ?? collection.name
  const isUnlisted = unlistedParents.delete(`${site.cloudId}/${collection.name}`)
  const listedAt = Math.max(completeAt, checkpoint.readAt?.getTime() ?? 0)
  const isListedRecently =
    isParent(provider, collection) && listedAt <= now() && now() < listedAt + plan.listingMs
  if (!isFull && !isUnlisted && isListedRecently) return false
  const copyInFull = async () => {
    const isAlreadyListed = checkpoint.cursor === null && completeAt > run.createdAt.getTime()
    const finalCheckpoint = isAlreadyListed
      ? checkpoint
      : await runFullListing(context, collection, reader, partition)
    await deleteMissing(context, collection, reader, partition, finalCheckpoint)
  }
  try {
    if (isFull) {
      await measurePart(context, collection, true, copyInFull)
    } else if (
      features.every(
        ({ feature: { enablesIncremental }, isEnabled: on }) =>
          enablesIncremental !== collection.name || on
      )
    ) {
      await measurePart(context, collection, false, async () => {
        await runIncrementalSync(context, collection, reader, partition)
      })
    }
    if (connectionWithGrant.connection.refusedFeatures.includes(featureName)) {
      await recordScopeRefusal(settings, connectionWithGrant, featureName, false, log)
    }
    return true
  } catch (error) {
    if (error instanceof AppError && error.code === 'scope_missing') {
      await recordScopeRefusal(settings, connectionWithGrant, featureName, true, log)
    }
    throw error
  }
}
