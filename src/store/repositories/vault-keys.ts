import { eq, sql } from 'drizzle-orm'
import type { Engine } from '../engine.ts'

/** One key that this database has been written with. */
export interface VaultKeyRow {
  id: string
  proof: string
  uses: number
}

export function createVaultKeyRepository(
  { db, tables: { vaultKeys }, write }: Engine,
  now: () => number
) {
  return {
    async list(): Promise<VaultKeyRow[]> {
      return await db
        .select({ id: vaultKeys.id, proof: vaultKeys.proof, uses: vaultKeys.uses })
        .from(vaultKeys)
        .orderBy(vaultKeys.createdAt, vaultKeys.id)
    },

    /** Introduces a key; `proof` is a known word sealed with it. The first one to say so is right. */
    async register(id: string, proof: string): Promise<void> {
      await write(() =>
        db
          .insert(vaultKeys)
          .values({ id, proof, uses: 0, createdAt: new Date(now()) })
          .onConflictDoNothing({ target: vaultKeys.id })
      )
    },

    async addUses(id: string, uses: number): Promise<void> {
      await write(() =>
        db
          .update(vaultKeys)
          .set({ uses: sql`${vaultKeys.uses} + ${uses}` })
          .where(eq(vaultKeys.id, id))
      )
    }
  }
}
