import { and, asc, eq, gt, ne, sql, type SQL } from 'drizzle-orm'
import type { Audit } from './audit-log.ts'
import type { Engine } from '../engine.ts'

/** The sealed columns of a grant, all of them written with the key `keyId`. */
export interface Sealed {
  keyId: string
  accessToken: string
  refreshToken: string | null
  previousRefreshToken: string | null
}

/** A grant as far as its secrets go. */
export interface SealedRow extends Sealed {
  id: string
  errorCode: string | null
}

/** In the place of a key's id: no key opens this row. */
const DAMAGED = ''

/** What the vault's keys have sealed, for whoever replaces them. */
export function sealed({ db, tables: { grants }, write }: Engine, { inSteps }: Audit) {
  const columns = {
    id: grants.id,
    errorCode: grants.errorCode,
    keyId: grants.keyId,
    accessToken: grants.accessToken,
    refreshToken: grants.refreshToken,
    previousRefreshToken: grants.previousRefreshToken
  }

  return {
    /** How many grants each key has sealed; those that were found damaged need none. */
    async perKey(): Promise<Map<string, number>> {
      const rows = await db
        .select({ keyId: grants.keyId, count: sql<number>`count(*)` })
        .from(grants)
        .where(ne(grants.keyId, DAMAGED))
        .groupBy(grants.keyId)
      return new Map(rows.map(({ keyId, count }) => [keyId, Number(count)]))
    },

    /** Some grants that another key than `keyId` has sealed, behind `after`. */
    async otherwise(keyId: string, after: string, limit: number): Promise<SealedRow[]> {
      return await db
        .select(columns)
        .from(grants)
        .where(and(ne(grants.keyId, keyId), ne(grants.keyId, DAMAGED), gt(grants.id, after)))
        .orderBy(asc(grants.id))
        .limit(limit)
    },

    /** Some grants that this key has sealed. */
    async with(keyId: string, limit: number): Promise<SealedRow[]> {
      return await db.select(columns).from(grants).where(eq(grants.keyId, keyId)).limit(limit)
    },

    /** Puts resealed columns in the place of the very ones they were made from; those that have moved on are left alone. */
    async replace(batch: Array<{ id: string; old: Sealed; fresh: Sealed }>): Promise<number> {
      return await inSteps(function* (tx, tell) {
        let count = 0
        for (const { id, old, fresh } of batch) {
          count += (yield tx
            .update(grants)
            .set(fresh)
            .where(
              and(
                eq(grants.id, id),
                same(grants.accessToken, old.accessToken),
                same(grants.refreshToken, old.refreshToken),
                same(grants.previousRefreshToken, old.previousRefreshToken)
              )
            )
            .returning({ id: grants.id })).length
        }
        if (count > 0) {
          tell({
            action: 'vault_key_rotated',
            detail: { key: batch[0]?.fresh.keyId, grants: count }
          })
        }
        return count
      })
    },

    /** Tokens that do not open although their key is there hold no key back. They stay as they are. */
    async markDamaged({ id, accessToken }: Pick<SealedRow, 'id' | 'accessToken'>): Promise<void> {
      await write(() =>
        db
          .update(grants)
          .set({ keyId: DAMAGED })
          .where(and(eq(grants.id, id), eq(grants.accessToken, accessToken)))
      )
    },

    /** Tokens that open again are their key's again. */
    async markSealedWith(id: string, accessToken: string, keyId: string): Promise<void> {
      await write(() =>
        db
          .update(grants)
          .set({ keyId })
          .where(and(eq(grants.id, id), eq(grants.accessToken, accessToken)))
      )
    }
  }
}

function same(column: SQL | object, value: string | null): SQL {
  return sql`${column} is not distinct from ${value}`
}
