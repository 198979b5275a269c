import type { LeaseHolder } from '../store/repositories/leases.ts'

/**
 * Detects a lease owner that has not changed for longer than the lease's TTL, on this process's
 * monotonic clock. Without it, setting the database's clock back by an hour would block the grant
 * for an hour.
 */
export function createStaleLeaseDetector(
  leaseMs: number
): (holder: LeaseHolder | undefined) => boolean {
  let owner: string | undefined
  let since = 0
  return (holder) => {
    if (holder?.owner !== owner) [owner, since] = [holder?.owner, performance.now()]
    return holder !== undefined && performance.now() - since > leaseMs
  }
}
