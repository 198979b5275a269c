import { and, asc, desc, eq, inArray, isNull, lte, or, sql } from 'drizzle-orm'
import type { Engine } from '../engine.ts'
import type { LeaseRepository } from './leases.ts'

/** An account whose id is stored, and when that was last confirmed. */
export interface ReportableAccount {
  grantId: string
  accountId: string
  updatedAt: Date
}

const LEASE_NAME = 'personal-data'

/**
 * Which accounts must be reported to Atlassian, per app. The progress is stored on the grants,
 * so it is deleted with them and survives a restart.
 */
export function createPrivacyReportRepository(
  { db, tables: { grants }, write, transaction }: Engine,
  { leases }: { leases: LeaseRepository }
) {
  const isDue = (clientId: string, at: Date) =>
    and(eq(grants.clientId, clientId), or(isNull(grants.reportDueAt), lte(grants.reportDueAt, at)))

  return {
    /**
     * Acquires or extends the lease.
     *
     * @returns false while another process holds it
     */
    async acquireLease(owner: string, ttlMs: number): Promise<boolean> {
      return await transaction(function* (tx) {
        return (yield leases.acquireStatement(tx, LEASE_NAME, owner, ttlMs, owner)).length > 0
      })
    },

    async releaseLease(owner: string): Promise<void> {
      await transaction(function* (tx) {
        yield leases.releaseStatement(tx, LEASE_NAME, owner)
      })
    },

    /** Accounts of an app that are due, in no particular order. */
    async listDue(clientId: string, at: Date, limit: number): Promise<ReportableAccount[]> {
      return await db
        .select({
          grantId: grants.id,
          accountId: grants.accountId,
          updatedAt: sql<number>`coalesce(${grants.rotatedAt}, ${grants.consentedAt})`
        })
        .from(grants)
        .where(isDue(clientId, at))
        .orderBy(asc(grants.id))
        .limit(limit)
        .then((rows) =>
          rows.map(({ updatedAt, ...row }) => ({ ...row, updatedAt: new Date(Number(updatedAt)) }))
        )
    },

    /** Grants of an app whose tokens work; those that hold the scope come first. */
    async listReportingGrants(
      clientId: string,
      scope: string,
      limit: number
    ): Promise<Array<{ id: string; hasScope: boolean }>> {
      const hasScope = sql<number>`case when ' ' || ${grants.scopes} || ' '
        like ${`% ${scope} %`} then 1 else 0 end`
      const rows = await db
        .select({ id: grants.id, hasScope })
        .from(grants)
        .where(and(eq(grants.clientId, clientId), inArray(grants.state, ['active', 'degraded'])))
        .orderBy(desc(hasScope), asc(grants.id))
        .limit(limit)
      return rows.map((row) => ({ id: row.id, hasScope: Number(row.hasScope) === 1 }))
    },

    /** Records that these accounts were reported; they are due again at `next`. */
    async markReported(grantIds: string[], next: Date): Promise<void> {
      if (grantIds.length > 0) {
        await write(() =>
          db.update(grants).set({ reportDueAt: next }).where(inArray(grants.id, grantIds))
        )
      }
    },

    /** Postpones all reports of an app to `until`. */
    async postpone(clientId: string, at: Date, until: Date): Promise<void> {
      await write(() => db.update(grants).set({ reportDueAt: until }).where(isDue(clientId, at)))
    }
  }
}
