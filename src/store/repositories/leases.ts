import { and, eq, lte, sql, type SQL } from 'drizzle-orm'
import type { Database, Engine, Statement } from '../engine.ts'

/** Who holds a lease, and whether its time is over by the database's clock. */
export interface LeaseHolder {
  owner: string
  isExpired: boolean
}

/**
 * Leases: what one process at a time may do. They live in the database and on its clock, so a process that dies gives
 * everything back when its time is over, and one whose own clock is wrong changes nothing.
 */
export function createLeaseRepository({ db, tables: { leases }, nowPlus }: Engine) {
  const selectByName = db
    .select({ owner: leases.owner, isExpired: sql<number>`${leases.until} <= ${nowPlus(0)}` })
    .from(leases)
    .where(eq(leases.name, sql.placeholder('name')))
    .prepare()

  return {
    /**
     * Takes a lease that is free, or over, or still held by `stale`: an owner that was seen for longer than a lease lasts.
     *
     * @param ttlMs how long it lasts
     * @returns the statement; it returns a row where the lease was taken
     */
    acquireStatement: (
      tx: Database,
      name: string,
      owner: string,
      ttlMs: number,
      staleOwner = ''
    ): Statement =>
      tx
        .insert(leases)
        .values({ name, owner, until: nowPlus(ttlMs) })
        .onConflictDoUpdate({
          target: leases.name,
          set: { owner, until: nowPlus(ttlMs) },
          setWhere: sql`${lte(leases.until, nowPlus(0))} or ${eq(leases.owner, staleOwner)}`
        })
        .returning({ owner: leases.owner }),

    async findHolder(name: string): Promise<LeaseHolder | undefined> {
      const [row] = await selectByName.execute({ name })
      return row === undefined ? undefined : { owner: row.owner, isExpired: Boolean(row.isExpired) }
    },

    /** True while the lease is this owner's: to be asked in the statement that relies on it. */
    isHeldBy: (name: string, owner: string): SQL =>
      sql`exists (select 1 from ${leases} where ${leases.name} = ${name} and ${leases.owner} = ${owner})`,

    releaseStatement: (tx: Database, name: string, owner: string): Statement =>
      tx.delete(leases).where(and(eq(leases.name, name), eq(leases.owner, owner))),

    /** Takes a lease away from whoever has it: what it was for is not any more. */
    revokeStatement: (tx: Database, name: string): Statement =>
      tx.delete(leases).where(eq(leases.name, name))
  }
}

export type LeaseRepository = ReturnType<typeof createLeaseRepository>
