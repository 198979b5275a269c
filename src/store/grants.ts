import { and, asc, eq, gt, isNull, lte, ne, notExists, or, sql, type SQL } from 'drizzle-orm'
import type { ErrorCode } from '../errors.ts'
import type { Database, Engine, Statement, WithStatement } from './engine.ts'
import type { Change, History, Reason } from './history.ts'
import type { Holder, Leases } from './leases.ts'
import type { Site } from './site.ts'
import type { ConnectionState, GrantState, OwnState } from './states.ts'

/** The sealed columns of a grant, all of them written with the key `keyId`. */
export interface Sealed {
  keyId: string
  accessToken: string
  refreshToken: string | null
  previousRefreshToken: string | null
}

/** One consent: a token pair of one Atlassian account at one client, used by every connection of that account. */
export interface Grant extends Sealed {
  id: string
  clientId: string
  accountId: string
  scopes: string
  state: GrantState
  errorCode: ErrorCode | null
  errorDetail: string | null
  accessExpiresAt: Date
  previousUntil: Date | null
  consentedAt: Date
  rotatedAt: Date | null
  attemptAt: Date | null
  dueAt: Date | null
  failures: number
  nextTryAt: Date | null
  warnedDays: number | null
  version: number
}

/** What a refresh brought. */
export type Fresh = Sealed & Pick<Grant, 'accessExpiresAt' | 'previousUntil' | 'rotatedAt' | 'dueAt' | 'scopes'>

/** What a consent brought. */
export type Consented = Sealed & Pick<Grant, 'id' | 'clientId' | 'accountId' | 'scopes' | 'accessExpiresAt' | 'dueAt'>

/** Who gave the consent, and what their connection is with it. */
export interface Connecting { userId: number, provider: string, sites: Site[], bound: Site[], state: OwnState, reason: Reason | null, was: ConnectionState | null }

/** What a failed refresh leaves behind. */
export interface Failure { to: GrantState, reason: Reason, set: Partial<Pick<Grant, 'failures' | 'nextTryAt' | 'attemptAt' | 'dueAt'>> }

/** A refresh that is under way: which pair it replaces, and the lease it has. */
export interface Attempt { id: string, version: number, owner: string }

const HEALTHY = { state: 'active', errorCode: null, errorDetail: null, failures: 0, nextTryAt: null, attemptAt: null } as const

export function grants ({ db, tables: { grants, connections }, write, atomically }: Engine, now: () => number, { leases, history }: { leases: Leases, history: History }) {
  const byId = db.select().from(grants).where(eq(grants.id, sql.placeholder('id'))).prepare()
  const leaseOf = (id: string) => `grant/${id}`

  /** The pair that the attempt set out to replace is still there, and so is its lease: nobody else has got ahead of it. */
  const mine = ({ id, version, owner }: Attempt): SQL =>
    sql`${grants.id} = ${id} and ${grants.version} = ${version} and ${leases.heldBy(leaseOf(id), owner)}`

  /** A change of grants, the history of their connections first: it has to see what was. */
  const changing = (tx: Database, where: SQL, to: GrantState, reason: Reason | null, set: object): Statement[] => [
    history.ofGrants(tx, where, to, reason),
    tx.update(grants).set({ ...set, state: to, errorCode: reason?.code ?? null, errorDetail: reason?.detail ?? null }).where(where).returning({ id: grants.id })
  ]
  const changed = ([recorded = [], updated = []]: Awaited<ReturnType<typeof atomically>>) => ({ done: updated.length > 0, changes: history.read(recorded) })

  return {
    async get (id: string): Promise<Grant | undefined> {
      const [row] = await byId.execute({ id })
      return row as Grant | undefined
    },

    /**
     * Takes the lease for a refresh, if the grant is still as it was read (neither refreshed nor failed since), and notes durably that it has begun: a refresh
     * that nobody ends is found again. `retryAt` is when it is looked for.
     */
    async beginRefresh ({ id, version, owner }: Attempt, failures: number, ttlMs: number, retryAt: Date, stale?: string): Promise<boolean> {
      const current = sql`exists (select 1 from ${grants} where ${grants.id} = ${id} and ${grants.version} = ${version} and ${grants.failures} = ${failures})`
      const [taken = []] = await atomically((tx) => [
        leases.taking(tx, leaseOf(id), owner, ttlMs, { given: current, ...(stale === undefined ? {} : { stale }) }),
        tx.update(grants).set({ attemptAt: sql`coalesce(${grants.attemptAt}, ${sql.param(new Date(now()), grants.attemptAt)})`, dueAt: retryAt }).where(mine({ id, version, owner }))
      ])
      return taken.length > 0
    },

    async refresher (id: string): Promise<Holder | undefined> {
      return await leases.holder(leaseOf(id))
    },

    /**
     * Replaces the tokens if nobody else has: the loser changes nothing, reads again and never overwrites a newer pair.
     * Gives the lease back in any case.
     */
    async save (attempt: Attempt, fresh: Fresh): Promise<{ done: boolean, changes: Change[] }> {
      return changed(await atomically((tx) => [
        ...changing(tx, mine(attempt), 'active', null, { ...fresh, ...HEALTHY, version: attempt.version + 1 }),
        leases.releasing(tx, leaseOf(attempt.id), attempt.owner)
      ]))
    },

    /** Remembers how a refresh failed, if nobody has stored newer tokens, and gives the lease back. */
    async fail (attempt: Attempt, { to, reason, set }: Failure): Promise<{ done: boolean, changes: Change[] }> {
      return changed(await atomically((tx) => [
        ...changing(tx, mine(attempt), to, reason, set),
        leases.releasing(tx, leaseOf(attempt.id), attempt.owner)
      ]))
    },

    /** An attempt that turned out not to be needed: as if it had not begun. */
    async abandon (attempt: Attempt, before: Pick<Grant, 'attemptAt' | 'dueAt'>): Promise<void> {
      await atomically((tx) => [
        tx.update(grants).set({ attemptAt: before.attemptAt, dueAt: before.dueAt }).where(mine(attempt)),
        leases.releasing(tx, leaseOf(attempt.id), attempt.owner)
      ])
    },

    /** What can be said of stored tokens without asking anybody: no lease is needed for it, only that they are the same tokens. */
    async change (id: string, version: number, to: GrantState, reason: Reason | null): Promise<{ done: boolean, changes: Change[] }> {
      return changed(await atomically((tx) => changing(tx, sql`${grants.id} = ${id} and ${grants.version} = ${version}`, to, reason, {})))
    },

    /** The client itself is wrong: every grant of it waits, and none of them is asked for again before `nextTryAt`. */
    async misconfigured (clientId: string, reason: Reason, nextTryAt: Date): Promise<Change[]> {
      return changed(await atomically((tx) =>
        changing(tx, sql`${grants.clientId} = ${clientId} and ${grants.state} <> 'needs_reconnect'`, 'misconfigured', reason, { nextTryAt, failures: sql`${grants.failures} + 1` }))).changes
    },

    /** The client is right again. */
    async configured (clientId: string): Promise<Change[]> {
      return changed(await atomically((tx) =>
        changing(tx, sql`${grants.clientId} = ${clientId} and ${grants.state} = 'misconfigured'`, 'active', null, HEALTHY))).changes
    },

    /** New settings may be right where the old ones were wrong: nobody waits after a start. */
    async retryMisconfigured (): Promise<void> {
      await write(() => db.update(grants).set({ nextTryAt: null }).where(eq(grants.state, 'misconfigured')))
    },

    /** Asks upkeep to exchange the pair once more, at the latest at `at`. */
    async hasten (id: string, at: Date): Promise<void> {
      await write(() => db.update(grants).set({ dueAt: at }).where(and(eq(grants.id, id), or(isNull(grants.dueAt), gt(grants.dueAt, at)))))
    },

    /**
     * Saves what a consent brought, who holds it, and what `also` says, together. An older consent of the same account at
     * the same client is replaced, because Atlassian has replaced it too (atlassian.md section 0, fact 6); a refresh of it
     * that is under way loses.
     */
    async connect (grant: Consented, { userId, provider, sites, bound, state, reason, was }: Connecting, also: WithStatement[] = []): Promise<Change[]> {
      const fresh = { ...grant, ...HEALTHY, consentedAt: new Date(now()), previousUntil: null, rotatedAt: null, warnedDays: null }
      const row = { userId, provider, grantId: grant.id, sites: JSON.stringify(sites), bound: JSON.stringify(bound), refused: '[]', state, errorCode: reason?.code ?? null, errorDetail: reason?.detail ?? null, connectedAt: new Date(now()) }
      const mine = sql`${connections.userId} = ${userId} and ${connections.provider} = ${provider}`
      const [others = [], , , own = []] = await atomically((tx) => [
        history.ofGrants(tx, sql`${grants.id} = ${grant.id} and not (${mine})`, 'active', null),
        tx.insert(grants).values({ ...fresh, version: 1 })
          .onConflictDoUpdate({ target: grants.id, set: { ...fresh, version: sql`${grants.version} + 1` } }),
        tx.insert(connections).values(row).onConflictDoUpdate({ target: [connections.userId, connections.provider], set: row }),
        history.ofConnect(tx, mine, was, state, reason),
        // Whoever connects another account leaves the old one's tokens behind, and nobody needs them.
        tx.delete(grants).where(orphaned(tx)),
        ...also.map((statement) => statement(tx))
      ])
      return history.read([...others, ...own])
    },

    /** Grants that upkeep has to look after, the most urgent first. */
    async due (at: Date, limit: number): Promise<string[]> {
      const rows = await db.select({ id: grants.id }).from(grants)
        .where(and(lte(grants.dueAt, at), ne(grants.state, 'needs_reconnect'), or(isNull(grants.nextTryAt), lte(grants.nextTryAt, at)))).orderBy(asc(grants.dueAt)).limit(limit)
      return rows.map(({ id }) => id)
    },

    /** Erases old refresh tokens that have stopped working. */
    async forgetPrevious (at: Date): Promise<void> {
      await write(() => db.update(grants).set({ previousRefreshToken: null, previousUntil: null }).where(lte(grants.previousUntil, at)))
    },

    /** Takes the turn to warn of `days` left before the year is over, once each. */
    async warnOf (days: number, consentedBefore: Date, limit: number): Promise<Array<{ id: string, consentedAt: Date }>> {
      const due = and(lte(grants.consentedAt, consentedBefore), or(isNull(grants.warnedDays), gt(grants.warnedDays, days)), ne(grants.state, 'needs_reconnect'))
      const ids = db.select({ id: grants.id }).from(grants).where(due).limit(limit)
      return await write(() => db.update(grants).set({ warnedDays: days }).where(and(due, sql`${grants.id} in ${ids}`)).returning({ id: grants.id, consentedAt: grants.consentedAt }))
    },

    /** How many grants each key has sealed that are still of use. */
    async perKey (): Promise<Map<string, number>> {
      const rows = await db.select({ keyId: grants.keyId, count: sql<number>`count(*)` }).from(grants).where(readable()).groupBy(grants.keyId)
      return new Map(rows.map(({ keyId, count }) => [keyId, Number(count)]))
    },

    /** Some grants that another key than `keyId` has sealed, behind `after`. */
    async sealedOtherwise (keyId: string, after: string, limit: number): Promise<Array<Sealed & { id: string, version: number }>> {
      return await db.select({ id: grants.id, version: grants.version, keyId: grants.keyId, accessToken: grants.accessToken, refreshToken: grants.refreshToken, previousRefreshToken: grants.previousRefreshToken })
        .from(grants).where(and(ne(grants.keyId, keyId), gt(grants.id, after), readable())).orderBy(asc(grants.id)).limit(limit)
    },

    /** Some grants that this key has sealed. */
    async sealedWith (keyId: string, limit: number): Promise<Array<Sealed & { id: string }>> {
      return await db.select({ id: grants.id, keyId: grants.keyId, accessToken: grants.accessToken, refreshToken: grants.refreshToken, previousRefreshToken: grants.previousRefreshToken })
        .from(grants).where(and(eq(grants.keyId, keyId), readable())).limit(limit)
    },

    /** Puts resealed columns in the place of the very ones they were made from; those that have moved on are left alone. */
    async reseal (batch: Array<{ id: string, old: Sealed, fresh: Sealed }>): Promise<number> {
      const results = await atomically((tx) => batch.map(({ id, old, fresh }) => tx.update(grants).set(fresh)
        .where(and(eq(grants.id, id), same(grants.accessToken, old.accessToken), same(grants.refreshToken, old.refreshToken), same(grants.previousRefreshToken, old.previousRefreshToken)))
        .returning({ id: grants.id })))
      return results.flat().length
    },

    /** Erases the tokens that no connection needs any more. To be run after the connections are gone. */
    erasingOrphans: (tx: Database): Statement => tx.delete(grants).where(orphaned(tx)).returning({ id: grants.id })
  }

  /** Tokens that do not open with any key hold no key back. */
  function readable (): SQL {
    return sql`(${grants.errorCode} is null or ${grants.errorCode} <> 'tokens_unreadable')`
  }

  function orphaned (tx: Database): SQL {
    return notExists(tx.select({ id: connections.id }).from(connections).where(eq(connections.grantId, grants.id)))
  }
}

function same (column: SQL | object, value: string | null): SQL {
  return sql`${column} is not distinct from ${value}`
}

export type GrantRows = ReturnType<typeof grants>
