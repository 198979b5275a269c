import { and, asc, eq, gt, isNull, lt, or, sql } from 'drizzle-orm'
import type { AuditLog } from './audit-log.ts'
import type { Engine } from '../engine.ts'

/** A service key as stored: its hash, never the key itself. */
export interface ApiKey {
  id: number
  name: string
  prefix: string
  scopes: string[]
  createdAt: Date
  expiresAt: Date | null
  revokedAt: Date | null
  lastUsedAt: Date | null
}

/** Resolution of `lastUsedAt`. */
const LAST_USED_INTERVAL_MS = 60_000

export function createApiKeyRepository(
  { db, tables: { apiKeys }, write }: Engine,
  now: () => number,
  { runAudited }: AuditLog
) {
  const columns = {
    id: apiKeys.id,
    name: apiKeys.name,
    prefix: apiKeys.prefix,
    scopes: apiKeys.scopes,
    createdAt: apiKeys.createdAt,
    expiresAt: apiKeys.expiresAt,
    revokedAt: apiKeys.revokedAt,
    lastUsedAt: apiKeys.lastUsedAt
  }
  const selectByHash = db
    .select(columns)
    .from(apiKeys)
    .where(eq(apiKeys.hash, sql.placeholder('hash')))
    .prepare()
  const toApiKey = (row: Omit<ApiKey, 'scopes'> & { scopes: string }): ApiKey => ({
    ...row,
    scopes: row.scopes.split(' ')
  })

  return {
    /**
     * Stores a key.
     *
     * @returns undefined if an active key has the name, or the same key exists
     */
    async create(key: {
      name: string
      hash: string
      prefix: string
      scopes: readonly string[]
      expiresAt: Date | null
    }): Promise<ApiKey | undefined> {
      const id = await runAudited(function* (tx, record) {
        const [inserted] = yield tx
          .insert(apiKeys)
          .values({
            ...key,
            scopes: key.scopes.join(' '),
            activeName: key.name,
            createdAt: new Date(now())
          })
          .onConflictDoNothing()
          .returning({ id: apiKeys.id })
        if (inserted !== undefined) {
          record({
            action: 'key_created',
            detail: { key: inserted.id, name: key.name, scopes: key.scopes }
          })
        }
        return inserted?.id
      })
      const [created] =
        id === undefined
          ? []
          : await db
              .select(columns)
              .from(apiKeys)
              .where(eq(apiKeys.id, Number(id)))
      return created === undefined ? undefined : toApiKey(created)
    },

    /** Finds the active key with this hash. */
    async find(hash: string): Promise<ApiKey | undefined> {
      const [row] = await selectByHash.execute({ hash })
      if (
        row === undefined ||
        row.revokedAt !== null ||
        (row.expiresAt !== null && row.expiresAt.getTime() <= now())
      ) {
        return undefined
      }
      return toApiKey(row)
    },

    /** Whether a key with this hash ever existed, active or not. */
    async has(hash: string): Promise<boolean> {
      return (await selectByHash.execute({ hash })).length > 0
    },

    async list(): Promise<ApiKey[]> {
      return (await db.select(columns).from(apiKeys).orderBy(asc(apiKeys.id))).map(toApiKey)
    },

    /**
     * Revokes a key by id or name.
     *
     * @returns false if no active key matches
     */
    async revoke(which: { id: number } | { name: string }): Promise<boolean> {
      const match = 'id' in which ? eq(apiKeys.id, which.id) : eq(apiKeys.activeName, which.name)
      return await runAudited(function* (tx, record) {
        const revoked = yield tx
          .update(apiKeys)
          .set({ revokedAt: new Date(now()), activeName: null })
          .where(and(match, isNull(apiKeys.revokedAt)))
          .returning({ id: apiKeys.id, name: apiKeys.name })
        record(
          ...revoked.map(
            ({ id, name }) => ({ action: 'key_revoked', detail: { key: id, name } }) as const
          )
        )
        return revoked.length === 1
      })
    },

    /** Updates `lastUsedAt`, at most once a minute. */
    async markUsed({ id, lastUsedAt }: ApiKey): Promise<void> {
      const stale = new Date(now() - LAST_USED_INTERVAL_MS)
      if (lastUsedAt !== null && lastUsedAt > stale) return
      await write(() =>
        db
          .update(apiKeys)
          .set({ lastUsedAt: new Date(now()) })
          .where(
            and(eq(apiKeys.id, id), or(isNull(apiKeys.lastUsedAt), lt(apiKeys.lastUsedAt, stale)))
          )
      )
    },

    /** Whether any key is active. */
    async hasActive(): Promise<boolean> {
      return (
        (
          await db
            .select({ id: apiKeys.id })
            .from(apiKeys)
            .where(
              and(
                isNull(apiKeys.revokedAt),
                or(isNull(apiKeys.expiresAt), gt(apiKeys.expiresAt, new Date(now())))
              )
            )
            .limit(1)
        ).length === 1
      )
    }
  }
}
