import { featuresOf, scopesMissing } from '../connections/features.ts'
import { askFor, checkConnection, noteRefusal } from '../connections/sites.ts'
import { AppError, type ErrorCode } from '../lib/errors.ts'
import { pointsOf } from '../rate-budget/rate-limit-headers.ts'
import { placeOf } from '../rate-budget/rate-budget.ts'
import { createGateway } from '../providers/gateway.ts'
import type { Collection, Gateway, Reader } from '../providers/provider.ts'
import type { RawRow } from '../store/engine.ts'
import type { Outcome } from '../store/repositories/sync-runs.ts'
import type { Site } from '../model/site.ts'
import { follow, list, tableOf } from './copy-collection.ts'
import { noteFailure, record, type Context } from './context.ts'
import { bury } from './detect-deletions.ts'

/** What ends one part of a run and leaves the others their chance. Anything else ends the run. */
const OF_A_PART: readonly ErrorCode[] = [
  'upstream_refused',
  'upstream_failed',
  'upstream_timeout',
  'upstream_unreachable',
  'upstream_invalid_answer',
  'scope_missing',
  'listing_incomplete',
  'listing_empty',
  'site_unreachable'
]

/** Copies what a connection reaches: each collection of each site is a part of its own. @throws AppError what ends the whole run */
export async function copyAll(context: Context): Promise<Outcome> {
  const {
    settings,
    provider,
    standing: { connection, grant },
    log,
    signal,
    tally
  } = context
  if (connection.state === 'needs_site') {
    throw new AppError(connection.errorCode as ErrorCode, connection.errorDetail ?? '')
  }
  const missing = scopesMissing(
    provider,
    featuresOf(provider, grant.scopes.split(' '), { refused: [] })
  )
  if (missing !== null) throw new AppError('scope_missing', missing.detail)
  const ask = askFor(settings, grant, log, {
    signal,
    turn: async (method, url, send) =>
      await settings.budget.call(
        placeOf(grant.clientId, method, url),
        { interactive: false, signal },
        async () => {
          tally.calls++
          const answer = await send()
          tally.points += pointsOf(answer)
          return answer
        }
      )
  })
  const failed: AppError[] = []
  for (const site of connection.bound) {
    const gateway = createGateway({
      ask,
      apiUrl: settings.apiUrlOf(grant),
      provider,
      site,
      log,
      signal,
      now: settings.now
    })
    let lost: AppError | undefined
    for (const collection of provider.collections) {
      const name = `${site.cloudId}/${collection.name}`
      if (tally.done.includes(name)) continue
      // A site that is lost is lost for all of its collections.
      const error: AppError | undefined =
        lost ??
        (await copyPart(context, collection, site, gateway).then(() => undefined, ofAPart(signal)))
      if (error === undefined) {
        tally.done.push(name)
        await record(context)
        continue
      }
      if (lost === undefined && error.code === 'site_unreachable') {
        lost = await explained(context, error)
      }
      const failure = lost ?? error
      failed.push(failure)
      noteFailure(context, {
        collection: collection.name,
        site: site.cloudId,
        remoteId: null,
        code: failure.code,
        detail: failure.message
      })
    }
  }
  return outcome(context, failed)
}

/** @returns an error that leaves the other parts their chance. @throws any other */
function ofAPart(signal: AbortSignal): (error: unknown) => AppError {
  return (error) => {
    if (!(error instanceof AppError) || signal.aborted || !OF_A_PART.includes(error.code)) {
      throw error
    }
    return error
  }
}

/** A site that cannot be reached may be gone from the consent: then the connection says so too. */
async function explained(
  { settings, run, provider, log }: Context,
  failure: AppError
): Promise<AppError> {
  const known = await checkConnection(settings, run.ownerId, provider, log).catch(() => undefined)
  const { state, errorCode, errorDetail } = known?.connection ?? {}
  return state === 'needs_site'
    ? new AppError(errorCode as ErrorCode, errorDetail ?? '', { cause: failure })
    : failure
}

function outcome(
  { tally, standing: { connection }, provider }: Context,
  failed: AppError[]
): Outcome {
  const [first] = failed
  const parts = connection.bound.length * provider.collections.length
  if (first !== undefined) {
    return {
      state: failed.length < parts ? 'partial' : 'failed',
      code: first.code,
      detail: first.message,
      cause: first
    }
  }
  if (tally.skipped > 0) {
    return {
      state: 'partial',
      code: 'items_skipped',
      detail: `${tally.skipped === 1 ? 'One item' : `${tally.skipped} items`} did not fit; failures names the first of them. They are tried again.`
    }
  }
  if (tally.held > 0) {
    return {
      state: 'partial',
      code: 'deletions_held',
      detail: `${tally.held} deletions are held back, because far less was listed than before. The next full listing decides, or POST /users/{user_id}/connections/${provider.id}/confirm-deletions.`
    }
  }
  return { state: 'succeeded' }
}

async function copyPart(
  context: Context,
  collection: Collection,
  site: Site,
  gateway: Gateway
): Promise<void> {
  const {
    settings: { store, now, fullIntervalMs },
    run,
    provider,
    standing,
    log
  } = context
  const part = {
    ownerId: run.ownerId,
    provider: provider.id,
    site: site.cloudId,
    collection: collection.name
  }
  const features = featuresOf(provider, standing.grant.scopes.split(' '), { refused: [] })
  const feature = features.find(({ feature: { copies } }) => copies === collection.name)
  if (feature?.on === false) {
    throw new AppError(
      'scope_missing',
      `The consent lacks what copying ${collection.name} needs (${feature.missing.join(' ')}).`
    )
  }
  // Read anew: the wish for bodies may have come while the parts before were copied.
  const { options } =
    (await store.connections.get(run.ownerId, provider.id))?.connection ?? standing.connection
  const reader: Reader = {
    ...gateway,
    site,
    pass: 0,
    bodies: options.pageBodies === true && collection.name === 'pages',
    stored: async (name, ids) =>
      new Map(
        (await tableOf(store, name).find(run.ownerId, site.cloudId, ids)).map((row: RawRow) => [
          String(row.remote_id),
          row
        ])
      )
  }
  const checkpoint = await store.checkpoints.get(part)
  // A moment that lies ahead was written by a clock that has been set back since, and says nothing.
  const completeAt =
    checkpoint.completeAt !== null && checkpoint.completeAt.getTime() <= now()
      ? checkpoint.completeAt.getTime()
      : 0
  const isDue =
    checkpoint.completeAt === null ||
    checkpoint.variant !== (reader.bodies ? 'bodies' : '') ||
    checkpoint.cursor !== null ||
    (run.mode === 'due' && completeAt + fullIntervalMs <= now())
  const full = run.mode === 'full' || isDue
  const name = feature?.feature.name ?? collection.name
  try {
    if (full) {
      const listedAlready = checkpoint.cursor === null && completeAt > run.createdAt.getTime()
      const complete = listedAlready ? checkpoint : await list(context, collection, reader, part)
      await bury(context, collection, reader, part, complete)
    } else if (
      features.every(({ feature: { follows }, on }) => follows !== collection.name || on)
    ) {
      await follow(context, collection, reader, part)
    }
    if (standing.connection.refused.includes(name)) {
      await noteRefusal(store, standing, name, false, log)
    }
  } catch (error) {
    if (error instanceof AppError && error.code === 'scope_missing') {
      await noteRefusal(store, standing, name, true, log)
    }
    throw error
  }
}
