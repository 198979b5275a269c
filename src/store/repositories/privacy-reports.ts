import { and, asc, desc, eq, inArray, isNull, lte, or, sql } from 'drizzle-orm'
import type { Engine } from '../engine.ts'
import type { LeaseRepository } from './leases.ts'

/** An account whose id is kept, and when that was last made sure of. */
export interface ReportableAccount {
  grantId: string
  accountId: string
  updatedAt: Date
}

const LEASE_NAME = 'personal-data'

/** Which accounts Atlassian has to be told of, app by app. How far that is stands in the grants, so it goes with them, and a restart goes on. */
export function createPrivacyReportRepository(
  { db, tables: { grants }, write, transaction }: Engine,
  { leases }: { leases: LeaseRepository }
) {
  const isDue = (clientId: string, at: Date) =>
    and(eq(grants.clientId, clientId), or(isNull(grants.reportDueAt), lte(grants.reportDueAt, at)))

  return {
    /** Takes the turn, or keeps it for longer. @returns false while another process has it */
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

    /** Accounts of an app whose turn has come, in no order that matters. */
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

    /** Grants of an app whose tokens work, those first that hold the scope. */
    async listReportingGrants(
      clientId: string,
      scope: string,
      limit: number
    ): Promise<Array<{ id: string; hasScope: boolean }>> {
      const hasScope = sql<number>`case when ' ' || ${grants.scopes} || ' ' like ${`% ${scope} %`} then 1 else 0 end`
      const rows = await db
        .select({ id: grants.id, hasScope })
        .from(grants)
        .where(and(eq(grants.clientId, clientId), inArray(grants.state, ['active', 'degraded'])))
        .orderBy(desc(hasScope), asc(grants.id))
        .limit(limit)
      return rows.map((row) => ({ id: row.id, hasScope: Number(row.hasScope) === 1 }))
    },

    /** These were told of; they are told of again at `next`. */
    async markReported(grantIds: string[], next: Date): Promise<void> {
      if (grantIds.length > 0) {
        await write(() =>
          db.update(grants).set({ reportDueAt: next }).where(inArray(grants.id, grantIds))
        )
      }
    },

    /** Nothing of an app is told before `until`. */
    async postpone(clientId: string, at: Date, until: Date): Promise<void> {
      await write(() => db.update(grants).set({ reportDueAt: until }).where(isDue(clientId, at)))
    }
  }
}
