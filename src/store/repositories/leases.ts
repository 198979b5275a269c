import { and, eq, lte, sql, type SQL } from 'drizzle-orm'
import type { Database, Engine, Statement } from '../engine.ts'

/** The owner of a lease, and whether it has expired by the database's clock. */
export interface LeaseHolder {
  owner: string
  isExpired: boolean
}

/**
 * Leases: rights that one process at a time holds. They live in the database and on its clock,
 * so a process that dies loses them when they expire, and a process whose own clock is wrong
 * changes nothing.
 */
export function createLeaseRepository({ db, tables: { leases }, nowPlus, prepare }: Engine) {
  const selectByName = db
    .select({ owner: leases.owner, isExpired: sql<number>`${leases.until} <= ${nowPlus(0)}` })
    .from(leases)
    .where(eq(leases.name, sql.placeholder('name')))
    .prepare()
  const revoke = prepare(db.delete(leases).where(eq(leases.name, sql`${sql.placeholder('name')}`)))

  return {
    /**
     * Acquires the lease if it is free, expired, or held by `stale`: an owner that this process
     * has observed past its TTL on its own monotonic clock.
     *
     * @param ttlMs how long the lease lasts
     * @returns the statement; it returns a row if the lease was acquired
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

    /**
     * A condition that holds while the lease is this owner's. Put it into the statement that
     * relies on it.
     */
    isHeldBy: (name: string, owner: string): SQL =>
      sql`exists (select 1 from ${leases} where ${leases.name} = ${name} and ${leases.owner} = ${owner})`,

    releaseStatement: (tx: Database, name: string, owner: string): Statement =>
      tx.delete(leases).where(and(eq(leases.name, name), eq(leases.owner, owner))),

    /** Deletes a lease whoever holds it, because what it protected is gone. */
    revokeStatement: (name: string): Statement => revoke.bind({ name })
  }
}

export type LeaseRepository = ReturnType<typeof createLeaseRepository>
