import { computeConsentExpiry } from '../grants/maintenance-job.ts'
import type { ConnectionCount, FleetConnection } from '../store/repositories/fleet.ts'

/** A connection as lists of all owners show it, in the API and on the command line. */
export function toFleetConnectionResponse(connection: FleetConnection) {
  const { user, errorCode, errorDetail, lastRun } = connection
  return {
    id: connection.id,
    user: { id: user.id, email: user.email, display_name: user.displayName },
    product: connection.product,
    state: connection.state,
    error: errorCode === null ? null : { code: errorCode, detail: errorDetail ?? '' },
    account_id: connection.accountId,
    sites: connection.sites.map(({ cloudId, name, url }) => ({ cloud_id: cloudId, name, url })),
    connected_at: connection.connectedAt.toISOString(),
    reconsent_by: computeConsentExpiry(connection.consentedAt).toISOString(),
    last_refresh_at: connection.refreshedAt?.toISOString() ?? null,
    next_try_at: connection.nextTryAt?.toISOString() ?? null,
    next_sync_at: connection.syncDueAt?.toISOString() ?? null,
    last_run:
      lastRun === null
        ? null
        : {
            id: lastRun.id,
            state: lastRun.state,
            error_code: lastRun.errorCode,
            finished_at: lastRun.finishedAt?.toISOString() ?? null
          }
  }
}
export type FleetConnectionResponse = ReturnType<typeof toFleetConnectionResponse>

/** Counts of connections: of all, by state, by product, and by both. */
export function toFleetCounts(counts: readonly ConnectionCount[]) {
  const sumBy = (key: 'state' | 'product') => {
    const sums: Record<string, number> = {}
    for (const row of counts) sums[row[key]] = (sums[row[key]] ?? 0) + row.count
    return sums
  }
  return {
    total: counts.reduce((sum, { count }) => sum + count, 0),
    by_state: sumBy('state'),
    by_product: sumBy('product')
  }
}
