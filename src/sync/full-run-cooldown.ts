import { AppError } from '../lib/errors.ts'
import type { Provider } from '../providers/provider.ts'
import { ACTIVE_STATES } from '../store/repositories/sync-runs.ts'
import type { SyncSettings } from './context.ts'

/**
 * A full run costs Atlassian's points of everybody, so one person gets one per cool-down. Joining the
 * active run is always possible.
 *
 * @throws AppError `too_many_requests`
 */
export async function assertFullRunAllowed(
  { store, now, fullCooldownMs }: Pick<SyncSettings, 'store' | 'now' | 'fullCooldownMs'>,
  ownerId: number,
  provider: Provider
): Promise<void> {
  if (fullCooldownMs === 0) return
  const last = await store.runs.getLastFullRequest(ownerId, provider.id)
  const waitMs = (last?.getTime() ?? -Infinity) + fullCooldownMs - now()
  // Longer than the cool-down: the clock was set back since.
  if (waitMs <= 0 || waitMs > fullCooldownMs) return
  const [newest] = await store.runs.list(ownerId, provider.id, 1)
  if (newest !== undefined && ACTIVE_STATES.includes(newest.state)) return
  throw new AppError(
    'too_many_requests',
    'The last full run of this user and product was requested a short time ago. ' +
      'Changes are copied without one.',
    { retryAfterS: Math.ceil(waitMs / 1000) }
  )
}
