import { and, asc, eq, gt, isNull, lt, or, sql } from 'drizzle-orm'
import type { AuditLog } from './audit-log.ts'
import type { Engine } from '../engine.ts'
import { createRowMapper } from '../row-mapper.ts'

/** A service key as stored: its hash, never the key itself. */
export interface ApiKey {
  id: number
  name: string
  prefix: string
  scopes: string[]
  /** Addresses and ranges that it may be used from; null: anywhere. */
  networks: string[] | null
  createdAt: Date
  expiresAt: Date | null
  /** When a replaced key stops working; null if it was not replaced. */
  rotatedUntil: Date | null
  revokedAt: Date | null
  lastUsedAt: Date | null
}

/** A key to be stored. */
interface NewApiKey {
  name: string
  hash: string
  prefix: string
  scopes: readonly string[]
  networks?: readonly string[] | null
  expiresAt: Date | null
}

/** Resolution of `lastUsedAt`. */
const LAST_USED_INTERVAL_MS = 60_000

export function createApiKeyRepository(
  { db, tables: { apiKeys }, write, prepare }: Engine,
  now: () => number,
  { runAudited }: AuditLog
) {
  const columns = {
    id: apiKeys.id,
    name: apiKeys.name,
    prefix: apiKeys.prefix,
    scopes: apiKeys.scopes,
    networks: apiKeys.networks,
    createdAt: apiKeys.createdAt,
    expiresAt: apiKeys.expiresAt,
    rotatedUntil: apiKeys.rotatedUntil,
    revokedAt: apiKeys.revokedAt,
    lastUsedAt: apiKeys.lastUsedAt
  }
  const toRecord = createRowMapper(columns)
  const selectByHash = prepare(
    db
      .select(columns)
      .from(apiKeys)
      .where(eq(apiKeys.hash, sql.placeholder('hash')))
  )
  const toApiKey = (
    row: Omit<ApiKey, 'scopes' | 'networks'> & { scopes: string; networks: string | null }
  ): ApiKey => ({
    ...row,
    scopes: row.scopes.split(' '),
    networks: row.networks?.split(',') ?? null
  })
  const toRow = ({ scopes, networks, ...key }: NewApiKey) => ({
    ...key,
    scopes: scopes.join(' '),
    networks: networks?.join(',') ?? null,
    activeName: key.name,
    createdAt: new Date(now())
  })
  const isOver = (at: Date | null) => at !== null && at.getTime() <= now()

  return {
    /**
     * Stores a key.
     *
     * @returns undefined if an active key has the name, or the same key exists
     */
    async create(key: NewApiKey): Promise<ApiKey | undefined> {
      const id = await runAudited(function* (tx, record) {
        const [inserted] = yield tx
          .insert(apiKeys)
          .values(toRow(key))
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
      return id === undefined ? undefined : await read(Number(id))
    },

    /**
     * Replaces a key: the successor has its name, its scopes and its networks, and every other key of
     * that name stops working after the overlap. A caller that did not get the answer repeats it.
     */
    async rotate(
      { id, name, scopes, networks }: ApiKey,
      { lifetimeMs, ...secret }: { hash: string; prefix: string; lifetimeMs: number | null },
      overlapMs: number
    ): Promise<{ key: ApiKey; previousUntil: Date }> {
      const until = new Date(now() + overlapMs)
      const expiresAt = lifetimeMs === null ? null : new Date(now() + lifetimeMs)
      const isNamesake = and(eq(apiKeys.name, name), isNull(apiKeys.revokedAt))
      const newId = await runAudited(function* (tx, record) {
        yield tx.update(apiKeys).set({ activeName: null }).where(isNamesake)
        yield tx
          .update(apiKeys)
          .set({ rotatedUntil: until })
          .where(and(isNamesake, or(isNull(apiKeys.rotatedUntil), gt(apiKeys.rotatedUntil, until))))
        const [inserted] = yield tx
          .insert(apiKeys)
          .values(toRow({ name, scopes, networks, expiresAt, ...secret }))
          .returning({ id: apiKeys.id })
        record({ action: 'key_rotated', detail: { key: id, name, successor: inserted?.id } })
        return inserted?.id
      })
      const key = await read(Number(newId))
      if (key === undefined) throw new Error('The new key cannot be read.')
      return { key, previousUntil: until }
    },

    /** Finds the active key with this hash. */
    async find(hash: string): Promise<ApiKey | undefined> {
      const [found] = await selectByHash({ hash })
      const row = found === undefined ? undefined : toRecord(found)
      if (
        row === undefined ||
        row.revokedAt !== null ||
        isOver(row.expiresAt) ||
        isOver(row.rotatedUntil)
      ) {
        return undefined
      }
      return toApiKey(row)
    },

    get: read,

    /** Whether a key with this hash ever existed, active or not. */
    async has(hash: string): Promise<boolean> {
      return (await selectByHash({ hash })).length > 0
    },

    async list(): Promise<ApiKey[]> {
      return (await db.select(columns).from(apiKeys).orderBy(asc(apiKeys.id))).map(toApiKey)
    },

    /**
     * Revokes a key by id, or every key of a name: keys that are being replaced have the same name.
     *
     * @returns false if no active key matches
     */
    async revoke(which: { id: number } | { name: string }): Promise<boolean> {
      const match = 'id' in which ? eq(apiKeys.id, which.id) : eq(apiKeys.name, which.name)
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
        return revoked.length > 0
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

  async function read(id: number): Promise<ApiKey | undefined> {
    const [row] = await db.select(columns).from(apiKeys).where(eq(apiKeys.id, id))
    return row === undefined ? undefined : toApiKey(row)
  }
}
