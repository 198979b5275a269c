import type { SyncState } from '../model/states.ts'
import type { CollectionCopy } from '../store/repositories/sync-states.ts'

/**
 * Evaluates a copy over all sites that are synced.
 *
 * @returns the state, and the time since which changes at Atlassian may be missing; null until
 *   every site was listed to its end
 */
export function evaluateSyncState(copy: CollectionCopy | undefined): {
  state: SyncState
  asOf: Date | null
} {
  const { sites, isRunActive } = copy ?? { sites: [], isRunActive: false }
  const isListed = sites.length > 0 && sites.every(({ isComplete }) => isComplete)
  const readTimes = sites.map(({ readAt }) => readAt?.getTime() ?? 0)
  const asOf = isListed ? new Date(Math.min(...readTimes)) : null
  if (sites.some(({ hasHeldDeletions }) => hasHeldDeletions)) return { state: 'held', asOf }
  if (isListed) {
    return { state: sites.some((site) => site.hasFailedItems) ? 'partial' : 'complete', asOf }
  }
  if (isRunActive) return { state: 'copying', asOf }
  return { state: sites.some(({ isStarted }) => isStarted) ? 'partial' : 'never', asOf }
}
