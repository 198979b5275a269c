import { and, asc, eq, isNull, sql } from 'drizzle-orm'
import type { Engine } from '../engine.ts'
import type { InstanceRepository } from './instances.ts'

/** A registered key, as the choice of the current one needs it. */
export interface RegisteredKey extends Pick<VaultKeyRow, 'id' | 'promotion' | 'promotedBy'> {
  /** Whether any grant is encrypted with it. */
  isUsed: boolean
}

/** A key with which this database has been written. */
export interface VaultKeyRow {
  id: string
  proof: string
  uses: number
  /** The signing key derived from this key, encrypted; null until it is archived. */
  signingKey: string | null
  /** The key with the greatest number encrypts; null: it has never encrypted. */
  promotion: number | null
  /** What promoted it. */
  promotedBy: 'order' | 'command' | null
}

export function createVaultKeyRepository(
  { db, tables: { vaultKeys, grants }, write }: Engine,
  now: () => number,
  { isReadableByAll, isReadableByNone, isFirstOfAll }: InstanceRepository
) {
  const next = sql`(select coalesce(max(promotion), 0) + 1 from ${vaultKeys})`

  async function list(): Promise<VaultKeyRow[]> {
    const rows = await db
      .select({
        id: vaultKeys.id,
        proof: vaultKeys.proof,
        uses: vaultKeys.uses,
        signingKey: vaultKeys.signingKey,
        promotion: vaultKeys.promotion,
        promotedBy: vaultKeys.promotedBy
      })
      .from(vaultKeys)
      .orderBy(vaultKeys.createdAt, vaultKeys.id)
    return rows as VaultKeyRow[]
  }

  return {
    list,

    /**
     * Makes a registered key the one that encrypts, unless a live instance lacks it: what any
     * instance writes, every live instance can read.
     *
     * @param by `order`: the key is first in the settings, which decides only if nobody chose the
     *   current one by command, or nothing is encrypted; and for a key that has encrypted before,
     *   only if every live instance has it first
     * @returns false if an instance lacks it, or the order of others differs
     */
    async promote(id: string, by: 'order' | 'command'): Promise<boolean> {
      const current = findCurrentKey(await list())
      if (current?.id === id) return true
      const isChosenByOrder = (current?.promotedBy ?? 'order') === 'order' ? sql`1 = 1` : sql`1 = 0`
      const isAllowed =
        by === 'command'
          ? isReadableByAll(id)
          : sql`${isReadableByAll(id)} and (${isNull(vaultKeys.promotion)} or ${isFirstOfAll(id)})
              and (${isChosenByOrder} or not exists (select 1 from ${grants}))`
      const updated = await write(() =>
        db
          .update(vaultKeys)
          .set({ promotion: next, promotedBy: by })
          .where(and(eq(vaultKeys.id, id), isAllowed))
          .returning({ id: vaultKeys.id })
      )
      return updated.length > 0
    },

    /** The registered keys, and whether any grant is encrypted with each. Cheap: by an index. */
    async listWithUse(): Promise<RegisteredKey[]> {
      const rows = await db
        .select({
          id: vaultKeys.id,
          promotion: vaultKeys.promotion,
          promotedBy: vaultKeys.promotedBy,
          isUsed: sql<number>`exists (select 1 from ${grants} where ${grants.keyId} = ${vaultKeys.id})`
        })
        .from(vaultKeys)
        .orderBy(asc(vaultKeys.id))
      return rows.map((row) => ({ ...row, isUsed: Boolean(row.isUsed) })) as RegisteredKey[]
    },

    /**
     * Registers a key with `proof`, a known text encrypted with it, which is its first use. The
     * first registration wins.
     */
    async register(id: string, proof: string): Promise<void> {
      await write(() =>
        db
          .insert(vaultKeys)
          .values({ id, proof, uses: 1, createdAt: new Date(now()) })
          .onConflictDoNothing({ target: vaultKeys.id })
      )
    },

    /**
     * Registers another key under the id of one with which nothing is encrypted, unless a live
     * instance has a key of that id.
     */
    async replace(id: string, oldProof: string, proof: string): Promise<void> {
      await write(() =>
        db
          .update(vaultKeys)
          .set({ proof, uses: 1, signingKey: null })
          .where(and(eq(vaultKeys.id, id), eq(vaultKeys.proof, oldProof), isReadableByNone(id)))
      )
    },

    /** Stores the encrypted signing key of a key. */
    async archiveSigningKey(id: string, signingKey: string): Promise<void> {
      await write(() => db.update(vaultKeys).set({ signingKey }).where(eq(vaultKeys.id, id)))
    },

    /** Adds to the uses of a key, and returns the sum. */
    async addUses(id: string, uses: number): Promise<number> {
      const [row] = await write(() =>
        db
          .update(vaultKeys)
          .set({ uses: sql`${vaultKeys.uses} + ${uses}` })
          .where(eq(vaultKeys.id, id))
          .returning({ uses: vaultKeys.uses })
      )
      return row?.uses ?? uses
    }
  }
}

/** The key that encrypts; undefined in a database that has never encrypted. */
export function findCurrentKey<Row extends Pick<VaultKeyRow, 'id' | 'promotion'>>(
  keys: readonly Row[]
): Row | undefined {
  return keys
    .filter(({ promotion }) => promotion !== null)
    .sort((a, b) => Number(b.promotion) - Number(a.promotion) || (a.id < b.id ? -1 : 1))[0]
}
