import { eq, sql } from 'drizzle-orm'
import type { Engine } from '../engine.ts'

/** A key with which this database has been written. */
export interface VaultKeyRow {
  id: string
  proof: string
  uses: number
  /** The signing key derived from this key, encrypted; null until it is archived. */
  signingKey: string | null
}

export function createVaultKeyRepository(
  { db, tables: { vaultKeys }, write }: Engine,
  now: () => number
) {
  return {
    async list(): Promise<VaultKeyRow[]> {
      return await db
        .select({
          id: vaultKeys.id,
          proof: vaultKeys.proof,
          uses: vaultKeys.uses,
          signingKey: vaultKeys.signingKey
        })
        .from(vaultKeys)
        .orderBy(vaultKeys.createdAt, vaultKeys.id)
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
