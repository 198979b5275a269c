import { evaluateFeatures, explainMissingScopes } from '../connections/features.ts'
import { createAuthorizedClient } from '../connections/authorized-client.ts'
import { checkConnection } from '../connections/sites.ts'
import { AppError, type ErrorCode } from '../lib/errors.ts'
import { estimateCost } from '../rate-budget/points.ts'
import { toCallTarget } from '../rate-budget/target.ts'
import { createGateway } from '../providers/gateway.ts'
import type { RunOutcome } from '../store/repositories/sync-runs.ts'
import { copyCollection } from './copy-collection.ts'
import { recordRunFailure, commitProgress, type RunContext } from './context.ts'

/**
 * Errors that end one part of a run while the other parts continue. Any other error ends the
 * run.
 */
const PARTIAL_ERRORS: readonly ErrorCode[] = [
  'upstream_refused',
  'upstream_failed',
  'upstream_timeout',
  'upstream_unreachable',
  'upstream_invalid_answer',
  'scope_missing',
  'listing_incomplete',
  'listing_empty',
  'site_unreachable',
  'upstream_repeats_pages',
  'call_limit_reached'
]

/**
 * Syncs what a connection reaches. Each collection of each site is a part of its own.
 *
 * @throws AppError for an error that ends the whole run
 */
export async function executeRun(context: RunContext): Promise<RunOutcome> {
  const {
    settings,
    provider,
    connectionWithGrant: { connection, grant },
    log,
    signal,
    counters
  } = context
  if (connection.state === 'needs_site') {
    throw new AppError(connection.errorCode as ErrorCode, connection.errorDetail ?? '')
  }
  const missingScope = explainMissingScopes(
    provider,
    evaluateFeatures(provider, grant.scopes.split(' '), { refusedFeatures: [] })
  )
  if (missingScope !== null) throw new AppError('scope_missing', missingScope.detail)
  const sendAuthorized = createAuthorizedClient(settings, grant, log, {
    signal,
    throttle: async (method, url, send) =>
      await settings.budget.call(
        toCallTarget(grant.clientId, method, url, grant.id),
        { isInteractive: false, isBulk: context.spending.isBulk, signal },
        async () => {
          context.callCeiling.count()
          counters.calls++
          const response = await send()
          counters.points += estimateCost(response)
          return response
        }
      )
  })
  const errors: AppError[] = []
  let attemptedParts = counters.done.length
  const { unlistedParents } = context
  for (const site of connection.selectedSites) {
    const gateway = createGateway({
      sendAuthorized,
      apiUrl: settings.resolveApiUrl(grant),
      provider,
      scopes: grant.scopes.split(' '),
      accountId: grant.accountId,
      site,
      log,
      signal,
      now: settings.now,
      backoff: settings.upstreamBackoff
    })
    let siteError: AppError | undefined
    // A part that turns out to be out of date is copied after the others.
    const parts = [...provider.collections, ...provider.collections]
    for (const [i, collection] of parts.entries()) {
      const partKey = `${site.cloudId}/${collection.name}`
      const isRepeated = i >= provider.collections.length
      if (isRepeated ? !unlistedParents.has(partKey) : counters.done.includes(partKey)) continue
      // A site that cannot be reached fails all of its collections.
      const error: AppError | undefined =
        siteError ??
        (await copyCollection(context, collection, site, gateway).then((isCopied) => {
          if (isCopied) attemptedParts++
          return undefined
        }, toPartialFailure(signal)))
      if (error === undefined) {
        if (!isRepeated) counters.done.push(partKey)
        await commitProgress(context)
        continue
      }
      if (siteError === undefined && error.code === 'site_unreachable') {
        siteError = await explainSiteFailure(context, error)
      }
      const failure = siteError ?? error
      errors.push(failure)
      attemptedParts++
      recordRunFailure(context, {
        collection: collection.name,
        site: site.cloudId,
        remoteId: null,
        code: failure.code,
        detail: failure.message
      })
    }
  }
  return toOutcome(context, errors, attemptedParts)
}

/**
 * @returns an error that lets the other parts continue
 * @throws any other error
 */
function toPartialFailure(signal: AbortSignal): (error: unknown) => AppError {
  return (error) => {
    if (!(error instanceof AppError) || signal.aborted || !PARTIAL_ERRORS.includes(error.code)) {
      throw error
    }
    return error
  }
}

/**
 * An unreachable site may have been removed from the consent: then the connection's state must
 * say so.
 */
async function explainSiteFailure(
  { settings, run, provider, log }: RunContext,
  failure: AppError
): Promise<AppError> {
  const checked = await checkConnection(settings, run.ownerId, provider, log).catch(() => undefined)
  const { state, errorCode, errorDetail } = checked?.connection ?? {}
  return state === 'needs_site'
    ? new AppError(errorCode as ErrorCode, errorDetail ?? '', { cause: failure })
    : failure
}

function toOutcome(
  { counters, provider }: RunContext,
  errors: AppError[],
  attemptedParts: number
): RunOutcome {
  const [first] = errors
  if (first !== undefined) {
    return {
      state: errors.length < attemptedParts ? 'partial' : 'failed',
      code: first.code,
      detail: first.message,
      cause: first
    }
  }
  if (counters.skipped > 0) {
    return {
      state: 'partial',
      code: 'items_skipped',
      detail:
        `${counters.skipped === 1 ? 'One item' : `${counters.skipped} items`} could not be stored; ` +
        'failures lists the first of them. They are retried.'
    }
  }
  if (counters.held > 0) {
    return {
      state: 'partial',
      code: 'deletions_held',
      detail:
        `${counters.held} deletions are held, because far fewer items were listed than before. ` +
        'The next full listing decides, or confirm them with ' +
        `POST /users/{user_id}/connections/${provider.id}/confirm-deletions.`
    }
  }
  return { state: 'succeeded' }
}
