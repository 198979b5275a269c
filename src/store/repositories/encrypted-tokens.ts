import { and, asc, eq, gt, ne, sql, type SQL } from 'drizzle-orm'
import type { AuditLog } from './audit-log.ts'
import type { Engine } from '../engine.ts'

/** The encrypted columns of a grant, all written with the key `keyId`. */
export interface EncryptedTokens {
  keyId: string
  accessToken: string
  refreshToken: string | null
  previousRefreshToken: string | null
}

/** The part of a grant that holds its secrets. */
export interface EncryptedTokensRow extends EncryptedTokens {
  id: string
  errorCode: string | null
}

/** Stored instead of a key id: no key decrypts this row. */
export const DAMAGED_KEY_ID = ''

/** Access to encrypted tokens for key rotation. */
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
    /** The number of grants encrypted with each key. Grants marked as damaged are not counted. */
    async countByKey(): Promise<Map<string, number>> {
      const rows = await db
        .select({ keyId: grants.keyId, count: sql<number>`count(*)` })
        .from(grants)
        .where(ne(grants.keyId, DAMAGED_KEY_ID))
        .groupBy(grants.keyId)
      return new Map(rows.map(({ keyId, count }) => [keyId, Number(count)]))
    },

    /** Lists grants encrypted with a key other than `keyId`, behind `after`. */
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

    /** Lists grants encrypted with this key. */
    async listEncryptedWith(keyId: string, limit: number): Promise<EncryptedTokensRow[]> {
      return await db.select(columns).from(grants).where(eq(grants.keyId, keyId)).limit(limit)
    },

    /** Lists grants that are marked as undecryptable, behind `after`. */
    async listUndecryptable(after: string, limit: number): Promise<EncryptedTokensRow[]> {
      return await db
        .select(columns)
        .from(grants)
        .where(
          and(
            eq(grants.state, 'needs_reconnect'),
            eq(grants.errorCode, 'tokens_undecryptable'),
            gt(grants.id, after)
          )
        )
        .orderBy(asc(grants.id))
        .limit(limit)
    },

    /** Lists grants whose access token begins with `prefix`, behind `after`. */
    async listByPrefix(
      prefix: string,
      after: string,
      limit: number
    ): Promise<EncryptedTokensRow[]> {
      return await db
        .select(columns)
        .from(grants)
        .where(
          and(
            sql`substr(${grants.accessToken}, 1, ${prefix.length}) = ${prefix}`,
            gt(grants.id, after)
          )
        )
        .orderBy(asc(grants.id))
        .limit(limit)
    },

    /**
     * Replaces re-encrypted columns, unless they have changed since they were read.
     *
     * @param isRotation whether the key changed, which the audit trail records
     */
    async replace(
      batch: Array<{ id: string; old: EncryptedTokens; fresh: EncryptedTokens }>,
      isRotation = true
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
        if (count > 0 && isRotation) {
          record({
            action: 'vault_key_rotated',
            detail: { key: batch[0]?.fresh.keyId, grants: count }
          })
        }
        return count
      })
    },

    /**
     * Marks tokens that their key does not decrypt, so that they do not keep the key in use. The
     * tokens stay as they are.
     */
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

    /** Reverts `markDamaged` for tokens that can be decrypted again. */
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
