import { eq, sql, type SQL } from 'drizzle-orm'
import type { Database, Engine, TransactionScript } from '../engine.ts'
import type { AuditEntry, AuditLog } from './audit-log.ts'
import type { StateChange } from './connection-history.ts'
import type { GrantStateWriter } from './grant-state.ts'
import {
  HEALTHY_STATE,
  type RefreshAttempt,
  type RefreshedTokens,
  type RefreshFailure
} from './grant-types.ts'
import type { LeaseHolder, LeaseRepository } from './leases.ts'

/** The lease that protects a grant's refresh. */
export const toRefreshLeaseName = (grantId: string) => `grant/${grantId}`

/** A refresh: lease, start, and result. */
export function createGrantRefreshMethods(
  { tables: { grants, connections }, transaction }: Engine,
  now: () => number,
  { lockStatement, applyState }: GrantStateWriter,
  { leases, audit }: { leases: LeaseRepository; audit: AuditLog }
) {
  /** The grant still has the version that the attempt replaces, and the attempt holds the lease. */
  const ownedBy = ({ id, version, owner }: RefreshAttempt): SQL =>
    sql`${grants.id} = ${id} and ${grants.version} = ${version}
      and ${leases.isHeldBy(toRefreshLeaseName(id), owner)}`

  return {
    /**
     * Acquires the refresh lease if the grant has neither been refreshed nor failed since it was
     * read. Records the start durably, so that maintenance finds an unfinished refresh.
     *
     * @param retryAt when maintenance looks for an unfinished refresh
     * @param staleOwner a holder whose lease counts as expired (src/grants/stale-lease.ts)
     */
    async beginRefresh(
      { id, version, owner }: RefreshAttempt,
      failures: number,
      ttlMs: number,
      retryAt: Date,
      staleOwner?: string
    ): Promise<boolean> {
      const isCurrent = sql`${grants.id} = ${id} and ${grants.version} = ${version}
        and ${grants.failures} = ${failures}`
      return await transaction(function* (tx) {
        if ((yield lockStatement(isCurrent)(tx)).length === 0) return false
        const acquired = yield leases.acquireStatement(
          tx,
          toRefreshLeaseName(id),
          owner,
          ttlMs,
          staleOwner
        )
        yield tx
          .update(grants)
          .set({
            attemptAt: sql`coalesce(${grants.attemptAt}, ${sql.param(new Date(now()), grants.attemptAt)})`,
            dueAt: retryAt
          })
          .where(ownedBy({ id, version, owner }))
        return acquired.length > 0
      }, true)
    },

    async findRefreshLease(id: string): Promise<LeaseHolder | undefined> {
      return await leases.findHolder(toRefreshLeaseName(id))
    },

    /**
     * Replaces the tokens and releases the lease, unless another owner has stored a newer pair.
     * In that case nothing changes and `done` is false.
     */
    async saveTokens(
      attempt: RefreshAttempt,
      tokens: RefreshedTokens
    ): Promise<{ done: boolean; changes: StateChange[] }> {
      return await applyState(
        ownedBy(attempt),
        'active',
        null,
        { ...tokens, ...HEALTHY_STATE, version: attempt.version + 1 },
        [(tx) => leases.releaseStatement(tx, toRefreshLeaseName(attempt.id), attempt.owner)],
        (tx) => createRefreshEntry(tx, attempt.id)
      )
    },

    /** Stores a refresh failure and releases the lease, unless newer tokens are stored. */
    async saveFailure(
      attempt: RefreshAttempt,
      { to, reason, set }: RefreshFailure
    ): Promise<{ done: boolean; changes: StateChange[] }> {
      return await applyState(ownedBy(attempt), to, reason, set, [
        (tx) => leases.releaseStatement(tx, toRefreshLeaseName(attempt.id), attempt.owner)
      ])
    }
  }

  function* createRefreshEntry(tx: Database, id: string): TransactionScript<AuditEntry> {
    return audit.toRefreshEntry(
      yield tx
        .select({ id: connections.id, userId: connections.userId, provider: connections.provider })
        .from(connections)
        .where(eq(connections.grantId, id))
        .orderBy(connections.id)
    )
  }
}
