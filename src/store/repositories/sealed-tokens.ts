import { and, asc, eq, gt, ne, sql, type SQL } from 'drizzle-orm'
import type { AuditLog } from './audit-log.ts'
import type { Engine } from '../engine.ts'

/** The sealed columns of a grant, all of them written with the key `keyId`. */
export interface EncryptedTokens {
  keyId: string
  accessToken: string
  refreshToken: string | null
  previousRefreshToken: string | null
}

/** A grant as far as its secrets go. */
export interface EncryptedTokensRow extends EncryptedTokens {
  id: string
  errorCode: string | null
}

/** In the place of a key's id: no key opens this row. */
const DAMAGED_KEY_ID = ''

/** What the vault's keys have sealed, for whoever replaces them. */
export function createEncryptedTokenRepository(
  { db, tables: { grants }, write }: Engine,
  { runAudited }: AuditLog
) {
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
    async countByKey(): Promise<Map<string, number>> {
      const rows = await db
        .select({ keyId: grants.keyId, count: sql<number>`count(*)` })
        .from(grants)
        .where(ne(grants.keyId, DAMAGED_KEY_ID))
        .groupBy(grants.keyId)
      return new Map(rows.map(({ keyId, count }) => [keyId, Number(count)]))
    },

    /** Some grants that another key than `keyId` has sealed, behind `after`. */
    async listEncryptedWithOtherKey(
      keyId: string,
      after: string,
      limit: number
    ): Promise<EncryptedTokensRow[]> {
      return await db
        .select(columns)
        .from(grants)
        .where(and(ne(grants.keyId, keyId), ne(grants.keyId, DAMAGED_KEY_ID), gt(grants.id, after)))
        .orderBy(asc(grants.id))
        .limit(limit)
    },

    /** Some grants that this key has sealed. */
    async listEncryptedWith(keyId: string, limit: number): Promise<EncryptedTokensRow[]> {
      return await db.select(columns).from(grants).where(eq(grants.keyId, keyId)).limit(limit)
    },

    /** Puts resealed columns in the place of the very ones they were made from; those that have moved on are left alone. */
    async replace(
      batch: Array<{ id: string; old: EncryptedTokens; fresh: EncryptedTokens }>
    ): Promise<number> {
      return await runAudited(function* (tx, record) {
        let count = 0
        for (const { id, old, fresh } of batch) {
          count += (yield tx
            .update(grants)
            .set(fresh)
            .where(
              and(
                eq(grants.id, id),
                isSame(grants.accessToken, old.accessToken),
                isSame(grants.refreshToken, old.refreshToken),
                isSame(grants.previousRefreshToken, old.previousRefreshToken)
              )
            )
            .returning({ id: grants.id })).length
        }
        if (count > 0) {
          record({
            action: 'vault_key_rotated',
            detail: { key: batch[0]?.fresh.keyId, grants: count }
          })
        }
        return count
      })
    },

    /** Tokens that do not open although their key is there hold no key back. They stay as they are. */
    async markDamaged({
      id,
      accessToken
    }: Pick<EncryptedTokensRow, 'id' | 'accessToken'>): Promise<void> {
      await write(() =>
        db
          .update(grants)
          .set({ keyId: DAMAGED_KEY_ID })
          .where(and(eq(grants.id, id), eq(grants.accessToken, accessToken)))
      )
    },

    /** Tokens that open again are their key's again. */
    async markEncryptedWith(id: string, accessToken: string, keyId: string): Promise<void> {
      await write(() =>
        db
          .update(grants)
          .set({ keyId })
          .where(and(eq(grants.id, id), eq(grants.accessToken, accessToken)))
      )
    }
  }
}

function isSame(column: SQL | object, value: string | null): SQL {
  return sql`${column} is not distinct from ${value}`
}
