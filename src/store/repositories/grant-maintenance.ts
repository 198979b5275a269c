import { and, asc, eq, gt, isNull, lte, ne, notInArray, or, sql } from 'drizzle-orm'
import type { Engine } from '../engine.ts'

/** What the maintenance job reads and writes: due refreshes, old tokens, expiry warnings. */
export function createGrantMaintenanceMethods({ db, tables: { grants }, write }: Engine) {
  return {
    /** Makes the grant due for a refresh at `at`, unless it is due earlier. */
    async scheduleRefresh(id: string, at: Date): Promise<void> {
      await write(() =>
        db
          .update(grants)
          .set({ dueAt: at })
          .where(and(eq(grants.id, id), or(isNull(grants.dueAt), gt(grants.dueAt, at))))
      )
    },

    /**
     * Grants due for maintenance, the most urgent first, after the position `after`.
     *
     * @param exceptKeyIds vault keys that this instance lacks: their grants are left to others
     */
    async listDue(
      at: Date,
      limit: number,
      after: { id: string; dueAt: Date } = { id: '', dueAt: new Date(0) },
      exceptKeyIds: readonly string[] = []
    ): Promise<Array<{ id: string; dueAt: Date }>> {
      return (await db
        .select({ id: grants.id, dueAt: grants.dueAt })
        .from(grants)
        .where(
          and(
            lte(grants.dueAt, at),
            or(
              gt(grants.dueAt, after.dueAt),
              and(eq(grants.dueAt, after.dueAt), gt(grants.id, after.id))
            ),
            ne(grants.state, 'needs_reconnect'),
            notInArray(grants.keyId, [...exceptKeyIds]),
            or(isNull(grants.nextTryAt), lte(grants.nextTryAt, at))
          )
        )
        .orderBy(asc(grants.dueAt), asc(grants.id))
        .limit(limit)) as Array<{ id: string; dueAt: Date }>
    },

    /** Erases previous refresh tokens whose grace period has ended. */
    async erasePreviousTokens(at: Date): Promise<void> {
      await write(() =>
        db
          .update(grants)
          .set({ previousRefreshToken: null, previousUntil: null })
          .where(lte(grants.previousUntil, at))
      )
    },

    /**
     * Claims the expiry warning at `days` before the end of the consent, so that it is logged
     * once per grant.
     */
    async claimExpiryWarning(
      days: number,
      consentedBefore: Date,
      limit: number
    ): Promise<Array<{ id: string; consentedAt: Date }>> {
      const isDue = and(
        lte(grants.consentedAt, consentedBefore),
        or(isNull(grants.warnedDays), gt(grants.warnedDays, days)),
        ne(grants.state, 'needs_reconnect')
      )
      const ids = db.select({ id: grants.id }).from(grants).where(isDue).limit(limit)
      return await write(() =>
        db
          .update(grants)
          .set({ warnedDays: days })
          .where(and(isDue, sql`${grants.id} in ${ids}`))
          .returning({ id: grants.id, consentedAt: grants.consentedAt })
      )
    }
  }
}
