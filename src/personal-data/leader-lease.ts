import { randomUUID } from 'node:crypto'
import type { Store } from '../store/index.ts'

/** How long a leader that has died blocks the others. A live one renews the lease more often. */
const LEASE_TTL_MS = 20_000
const HEARTBEAT_INTERVAL_MS = 5_000

/**
 * Elects one process by a lease in the database, so that no account is reported twice. Any
 * process may try, and leads for one batch.
 *
 * @returns a function that runs `work` while it holds the lease; it resolves to undefined if
 *   another process leads
 */
export function createLeaderLease(
  { acquireLease, releaseLease }: Store['privacyReports'],
  owner = randomUUID()
) {
  return async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    if (!(await acquireLease(owner, LEASE_TTL_MS))) return undefined
    // A failed renewal is repeated at the next interval: the lease lasts for several.
    const heartbeat = setInterval(() => {
      acquireLease(owner, LEASE_TTL_MS).catch(() => {})
    }, HEARTBEAT_INTERVAL_MS)
    const result = await work().finally(() => {
      clearInterval(heartbeat)
    })
    await releaseLease(owner)
    return result
  }
}
