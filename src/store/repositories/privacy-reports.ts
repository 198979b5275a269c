import { and, asc, desc, eq, inArray, isNull, lte, or, sql } from 'drizzle-orm'
import type { Engine } from '../engine.ts'
import type { Leases } from './leases.ts'

/** An account whose id is kept, and when that was last made sure of. */
export interface KeptAccount {
  grantId: string
  accountId: string
  updatedAt: Date
}

const LEASE = 'personal-data'

/** Which accounts Atlassian has to be told of, app by app. How far that is stands in the grants, so it goes with them, and a restart goes on. */
export function reports(
  { db, tables: { grants }, write, inSteps }: Engine,
  { leases }: { leases: Leases }
) {
  const dueBy = (clientId: string, at: Date) =>
    and(eq(grants.clientId, clientId), or(isNull(grants.reportDueAt), lte(grants.reportDueAt, at)))

  return {
    /** Takes the turn, or keeps it for longer. @returns false while another process has it */
    async take(owner: string, ttlMs: number): Promise<boolean> {
      return await inSteps(function* (tx) {
        return (yield leases.taking(tx, LEASE, owner, ttlMs, owner)).length > 0
      })
    },

    async release(owner: string): Promise<void> {
      await inSteps(function* (tx) {
        yield leases.releasing(tx, LEASE, owner)
      })
    },

    /** Accounts of an app whose turn has come, in no order that matters. */
    async due(clientId: string, at: Date, limit: number): Promise<KeptAccount[]> {
      return await db
        .select({
          grantId: grants.id,
          accountId: grants.accountId,
          updatedAt: sql<number>`coalesce(${grants.rotatedAt}, ${grants.consentedAt})`
        })
        .from(grants)
        .where(dueBy(clientId, at))
        .orderBy(asc(grants.id))
        .limit(limit)
        .then((rows) =>
          rows.map(({ updatedAt, ...row }) => ({ ...row, updatedAt: new Date(Number(updatedAt)) }))
        )
    },

    /** Grants of an app whose tokens work, those first that hold the scope. */
    async reporters(
      clientId: string,
      scope: string,
      limit: number
    ): Promise<Array<{ id: string; holds: boolean }>> {
      const holds = sql<number>`case when ' ' || ${grants.scopes} || ' ' like ${`% ${scope} %`} then 1 else 0 end`
      const rows = await db
        .select({ id: grants.id, holds })
        .from(grants)
        .where(and(eq(grants.clientId, clientId), inArray(grants.state, ['active', 'degraded'])))
        .orderBy(desc(holds), asc(grants.id))
        .limit(limit)
      return rows.map((row) => ({ id: row.id, holds: Number(row.holds) === 1 }))
    },

    /** These were told of; they are told of again at `next`. */
    async told(grantIds: string[], next: Date): Promise<void> {
      if (grantIds.length > 0) {
        await write(() =>
          db.update(grants).set({ reportDueAt: next }).where(inArray(grants.id, grantIds))
        )
      }
    },

    /** Nothing of an app is told before `until`. */
    async postpone(clientId: string, at: Date, until: Date): Promise<void> {
      await write(() => db.update(grants).set({ reportDueAt: until }).where(dueBy(clientId, at)))
    }
  }
}
