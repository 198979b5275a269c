import { AppError } from '../lib/errors.ts'
import type { Provider } from '../providers/provider.ts'
import type { Store } from '../store/index.ts'
import type { SyncRun } from '../store/repositories/sync-runs.ts'
import { requireConnection } from './sites.ts'

/**
 * Ends every wait of a connection: a failing grant is refreshed at once, and a run is queued, or
 * continues if it is parked. The instances notice within seconds. Limits that Atlassian has set still
 * apply.
 *
 * @throws AppError `connection_not_found`, or the state that only the person can end: `needs_reconnect`,
 *   `needs_site`
 */
export async function resumeConnection(
  store: Store,
  userId: number,
  provider: Provider
): Promise<SyncRun> {
  const { state, grant } = await requireConnection(store, userId, provider)
  if (state === 'needs_reconnect') {
    throw new AppError(state, 'Only the person can end this state: they have to connect again.')
  }
  if (state === 'needs_site') {
    throw new AppError(state, 'Only the person can end this state: they have to choose a site.')
  }
  await store.grants.retryNow(grant.id)
  const { run } = await store.runs.enqueue(userId, provider.id)
  await store.runs.resumeParked(userId, provider.id)
  return (await store.runs.get(run.id, provider.id)) ?? run
}
