import {
  and,
  asc,
  eq,
  gt,
  inArray,
  isNull,
  lte,
  ne,
  notExists,
  notInArray,
  or,
  sql,
  type SQL
} from 'drizzle-orm'
import type { ErrorCode } from '../../lib/errors.ts'
import type { Audit, Entry } from './audit-log.ts'
import type { Database, Engine, Statement, Steps, WithStatement } from '../engine.ts'
import type { Change, History, Reason } from './connection-history.ts'
import type { Holder, Leases } from './leases.ts'
import type { Sealed } from './sealed-tokens.ts'
import type { Site } from '../../model/site.ts'
import type { ConnectionState, GrantState, OwnState } from '../../model/states.ts'

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
export type Fresh = Sealed &
  Pick<Grant, 'accessExpiresAt' | 'previousUntil' | 'rotatedAt' | 'dueAt' | 'scopes'>

/** What a consent brought. */
export type Consented = Sealed &
  Pick<Grant, 'id' | 'clientId' | 'accountId' | 'scopes' | 'accessExpiresAt' | 'dueAt'>

/** Who gave the consent, what their connection is with it, and what it was before. */
export interface Connecting {
  userId: number
  provider: string
  sites: Site[]
  bound: Site[]
  state: OwnState
  reason: Reason | null
  before: { grantId: string; state: ConnectionState | null } | null
}

/** What a failed refresh leaves behind. */
export interface Failure {
  to: GrantState
  reason: Reason
  set: Partial<Pick<Grant, 'failures' | 'nextTryAt' | 'attemptAt' | 'dueAt'>>
}

/** A refresh that is under way: which pair it replaces, and the lease it has. */
export interface Attempt {
  id: string
  version: number
  owner: string
}

const HEALTHY = {
  state: 'active',
  errorCode: null,
  errorDetail: null,
  failures: 0,
  nextTryAt: null,
  attemptAt: null
} as const

export function grants(
  { db, tables: { grants, connections }, write, inSteps }: Engine,
  now: () => number,
  { leases, history, audit }: { leases: Leases; history: History; audit: Audit }
) {
  const byId = db
    .select()
    .from(grants)
    .where(eq(grants.id, sql.placeholder('id')))
    .prepare()
  const leaseOf = (id: string) => `grant/${id}`

  /** The pair that the attempt set out to replace is still there, and so is its lease: nobody else has got ahead of it. */
  const mine = ({ id, version, owner }: Attempt): SQL =>
    sql`${grants.id} = ${id} and ${grants.version} = ${version} and ${leases.heldBy(leaseOf(id), owner)}`

  /** Holds the grants that `where` describes as they are for the rest of a transaction. */
  const holding =
    (where: SQL) =>
    (tx: Database): Statement =>
      tx
        .update(grants)
        .set({ version: sql`${grants.version}` })
        .where(where)
        .returning({ id: grants.id })

  /** A change of grants, the history of their connections first: it has to see what was. `also` is done with it, or not at all. */
  async function change(
    where: SQL,
    to: GrantState,
    reason: Reason | null,
    set: object,
    also: WithStatement[] = [],
    told?: (tx: Database) => Steps<Entry>
  ): Promise<{ done: boolean; changes: Change[] }> {
    return await audit.inSteps(function* (tx, tell) {
      if ((yield holding(where)(tx)).length === 0) return { done: false, changes: [] }
      const changes = history.read(yield history.ofGrants(tx, where, to, reason))
      yield tx
        .update(grants)
        .set({
          ...set,
          state: to,
          errorCode: reason?.code ?? null,
          errorDetail: reason?.detail ?? null
        })
        .where(where)
      for (const statement of also) yield statement(tx)
      if (told !== undefined) tell(yield* told(tx))
      tell(...audit.changed(changes))
      return { done: true, changes }
    })
  }

  return {
    async get(id: string): Promise<Grant | undefined> {
      const [row] = await byId.execute({ id })
      return row as Grant | undefined
    },

    /**
     * Takes the lease for a refresh, if the grant is still as it was read (neither refreshed nor failed since), and notes
     * durably that it has begun: a refresh that nobody ends is found again. `retryAt` is when it is looked for.
     */
    async beginRefresh(
      { id, version, owner }: Attempt,
      failures: number,
      ttlMs: number,
      retryAt: Date,
      stale?: string
    ): Promise<boolean> {
      const current = sql`${grants.id} = ${id} and ${grants.version} = ${version} and ${grants.failures} = ${failures}`
      return await inSteps(function* (tx) {
        if ((yield holding(current)(tx)).length === 0) return false
        const taken = yield leases.taking(tx, leaseOf(id), owner, ttlMs, stale)
        yield tx
          .update(grants)
          .set({
            attemptAt: sql`coalesce(${grants.attemptAt}, ${sql.param(new Date(now()), grants.attemptAt)})`,
            dueAt: retryAt
          })
          .where(mine({ id, version, owner }))
        return taken.length > 0
      }, true)
    },

    async refresher(id: string): Promise<Holder | undefined> {
      return await leases.holder(leaseOf(id))
    },

    /**
     * Replaces the tokens if nobody else has, and gives the lease back: the loser changes nothing, reads again and never
     * overwrites a newer pair.
     */
    async save(attempt: Attempt, fresh: Fresh): Promise<{ done: boolean; changes: Change[] }> {
      return await change(
        mine(attempt),
        'active',
        null,
        { ...fresh, ...HEALTHY, version: attempt.version + 1 },
        [(tx) => leases.releasing(tx, leaseOf(attempt.id), attempt.owner)],
        (tx) => refreshed(tx, attempt.id)
      )
    },

    /** Remembers how a refresh failed, if nobody has stored newer tokens, and gives the lease back. */
    async fail(
      attempt: Attempt,
      { to, reason, set }: Failure
    ): Promise<{ done: boolean; changes: Change[] }> {
      return await change(mine(attempt), to, reason, set, [
        (tx) => leases.releasing(tx, leaseOf(attempt.id), attempt.owner)
      ])
    },

    /** What can be said of stored tokens without asking anybody: no lease is needed for it, only that they are the same tokens. */
    async change(
      id: string,
      version: number,
      to: GrantState,
      reason: Reason | null
    ): Promise<{ done: boolean; changes: Change[] }> {
      return await change(
        sql`${grants.id} = ${id} and ${grants.version} = ${version}`,
        to,
        reason,
        to === 'active' ? { failures: 0, nextTryAt: null } : {}
      )
    },

    /** The client itself is wrong: every grant of it waits, and is asked for again at `nextTryAt`, not before. */
    async misconfigured(
      clientId: string,
      reason: Reason,
      nextTryAt: Date,
      except = ''
    ): Promise<Change[]> {
      const at = sql.param(nextTryAt, grants.dueAt)
      const set = {
        nextTryAt,
        dueAt: sql`case when ${grants.dueAt} < ${at} then ${grants.dueAt} else ${at} end`,
        failures: sql`${grants.failures} + 1`
      }
      return (
        await change(
          sql`${grants.clientId} = ${clientId} and ${grants.id} <> ${except} and ${grants.state} <> 'needs_reconnect'`,
          'misconfigured',
          reason,
          set
        )
      ).changes
    },

    /** The client is right again. What was begun before stays begun. */
    async configured(clientId: string): Promise<Change[]> {
      return (
        await change(
          sql`${grants.clientId} = ${clientId} and ${grants.state} = 'misconfigured'`,
          'active',
          null,
          { nextTryAt: null, failures: 0 }
        )
      ).changes
    },

    /** New settings may be right where the old ones were wrong: nobody waits after a start. */
    async retryMisconfigured(): Promise<void> {
      await write(() =>
        db
          .update(grants)
          .set({ nextTryAt: null, dueAt: new Date(now()) })
          .where(eq(grants.state, 'misconfigured'))
      )
    },

    /** Only a new consent helps where the client is not configured any more; where it came back, its grants work again. */
    async knowClients(clientIds: string[], gone: Reason): Promise<Change[]> {
      const left = await change(
        sql`${notInArray(grants.clientId, clientIds)} and ${grants.state} <> 'needs_reconnect'`,
        'needs_reconnect',
        gone,
        { dueAt: null }
      )
      const back =
        clientIds.length === 0
          ? { changes: [] }
          : await change(
              sql`${inArray(grants.clientId, clientIds)} and ${grants.errorCode} = ${gone.code}`,
              'active',
              null,
              { failures: 0, nextTryAt: null, dueAt: new Date(now()) }
            )
      return [...left.changes, ...back.changes]
    },

    /** Asks upkeep to exchange the pair once more, at the latest at `at`. */
    async hasten(id: string, at: Date): Promise<void> {
      await write(() =>
        db
          .update(grants)
          .set({ dueAt: at })
          .where(and(eq(grants.id, id), or(isNull(grants.dueAt), gt(grants.dueAt, at))))
      )
    },

    /**
     * Saves what a consent brought, who holds it, and what `also` says, together. An older consent of the same account at
     * the same client is replaced, because Atlassian has replaced it too (atlassian.md section 0, fact 6); a refresh of it
     * that is under way loses.
     *
     * @returns undefined where the connection is not any more what the caller thinks it is; nothing is stored then
     */
    async connect(
      grant: Consented,
      { userId, provider, sites, bound, state, reason, before }: Connecting,
      also: WithStatement[] = []
    ): Promise<Change[] | undefined> {
      const fresh = {
        ...grant,
        ...HEALTHY,
        consentedAt: new Date(now()),
        previousUntil: null,
        rotatedAt: null,
        warnedDays: null
      }
      const row = {
        userId,
        provider,
        grantId: grant.id,
        sites: JSON.stringify(sites),
        bound: JSON.stringify(bound),
        refused: '[]',
        state,
        errorCode: reason?.code ?? null,
        errorDetail: reason?.detail ?? null,
        connectedAt: new Date(now()),
        syncDueAt: new Date(now())
      }
      const own = sql`${connections.userId} = ${userId} and ${connections.provider} = ${provider}`
      return await audit.inSteps(function* (tx, tell) {
        const asBefore = yield before === null
          ? tx
              .select({ one: sql`1` })
              .from(sql`(select 1) as one`)
              .where(notExists(tx.select({ id: connections.id }).from(connections).where(own)))
          : tx
              .update(connections)
              .set({ provider })
              .where(sql`${own} and ${connections.grantId} = ${before.grantId}`)
              .returning({ id: connections.id })
        if (asBefore.length === 0) return undefined
        const changes = history.read(
          yield history.ofGrants(
            tx,
            sql`${grants.id} = ${grant.id} and not (${own})`,
            'active',
            null
          )
        )
        yield tx
          .insert(grants)
          .values({ ...fresh, version: 1 })
          .onConflictDoUpdate({
            target: grants.id,
            set: { ...fresh, version: sql`${grants.version} + 1` }
          })
        const [it] = yield tx
          .insert(connections)
          .values(row)
          .onConflictDoUpdate({
            target: [connections.userId, connections.provider],
            set: { ...row, version: sql`${connections.version} + 1` }
          })
          .returning({ id: connections.id })
        changes.push(
          ...history.read(yield history.ofConnect(tx, own, before?.state ?? null, state, reason))
        )
        yield leases.revoking(tx, leaseOf(grant.id))
        // Whoever connects another account leaves the old one's tokens behind, and nobody needs them.
        if (before !== null && before.grantId !== grant.id) {
          yield tx.delete(grants).where(sql`${grants.id} = ${before.grantId} and ${orphaned(tx)}`)
        }
        for (const statement of also) yield statement(tx)
        const action =
          before === null
            ? 'connection_created'
            : before.state === null
              ? 'account_changed'
              : 'consent_given'
        tell(
          { action, userId, connectionId: Number(it?.id), product: provider },
          ...audit.changed(changes)
        )
        return changes
      })
    },

    /** Grants that upkeep has to look after, the most urgent first, behind `after`. */
    async due(
      at: Date,
      limit: number,
      after: { id: string; dueAt: Date } = { id: '', dueAt: new Date(0) }
    ): Promise<Array<{ id: string; dueAt: Date }>> {
      return (await db
        .select({ id: grants.id, dueAt: grants.dueAt })
        .from(grants)
        .where(
          and(
            lte(grants.dueAt, at),
            or(
              gt(grants.dueAt, after.dueAt),
              and(eq(grants.dueAt, after.dueAt), gt(grants.id, after.id))
            ),
            ne(grants.state, 'needs_reconnect'),
            or(isNull(grants.nextTryAt), lte(grants.nextTryAt, at))
          )
        )
        .orderBy(asc(grants.dueAt), asc(grants.id))
        .limit(limit)) as Array<{ id: string; dueAt: Date }>
    },

    /** Erases old refresh tokens that have stopped working. */
    async forgetPrevious(at: Date): Promise<void> {
      await write(() =>
        db
          .update(grants)
          .set({ previousRefreshToken: null, previousUntil: null })
          .where(lte(grants.previousUntil, at))
      )
    },

    /** Takes the turn to warn of `days` left before the year is over, once each. */
    async warnOf(
      days: number,
      consentedBefore: Date,
      limit: number
    ): Promise<Array<{ id: string; consentedAt: Date }>> {
      const due = and(
        lte(grants.consentedAt, consentedBefore),
        or(isNull(grants.warnedDays), gt(grants.warnedDays, days)),
        ne(grants.state, 'needs_reconnect')
      )
      const ids = db.select({ id: grants.id }).from(grants).where(due).limit(limit)
      return await write(() =>
        db
          .update(grants)
          .set({ warnedDays: days })
          .where(and(due, sql`${grants.id} in ${ids}`))
          .returning({ id: grants.id, consentedAt: grants.consentedAt })
      )
    },

    /** Erases the tokens of those of these grants that no connection needs any more. To be run after the connections are gone. */
    erasingOrphans: (tx: Database, ids: string[]): Statement =>
      tx
        .delete(grants)
        .where(and(inArray(grants.id, ids), orphaned(tx)))
        .returning({ id: grants.id })
  }

  function* refreshed(tx: Database, id: string): Steps<Entry> {
    return audit.refreshed(
      yield tx
        .select({ id: connections.id, userId: connections.userId, provider: connections.provider })
        .from(connections)
        .where(eq(connections.grantId, id))
        .orderBy(connections.id)
    )
  }

  function orphaned(tx: Database): SQL {
    return notExists(
      tx.select({ id: connections.id }).from(connections).where(eq(connections.grantId, grants.id))
    )
  }
}

export type GrantRows = ReturnType<typeof grants>
