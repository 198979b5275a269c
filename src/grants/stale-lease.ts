import type { LeaseHolder } from '../store/repositories/leases.ts'

/**
 * Tells a holder that has not changed for longer than a lease lasts, by this process's own steady clock: should the
 * database's clock be set back, nobody waits for an hour.
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
