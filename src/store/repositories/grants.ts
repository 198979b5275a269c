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
import type { AuditLog, AuditEntry } from './audit-log.ts'
import type { Database, Engine, Statement, TransactionScript, StatementBuilder } from '../engine.ts'
import type { StateChange, ConnectionHistory, StateReason } from './connection-history.ts'
import type { LeaseHolder, LeaseRepository } from './leases.ts'
import type { EncryptedTokens } from './encrypted-tokens.ts'
import type { Site } from '../../model/site.ts'
import type { ConnectionState, GrantState, LocalState } from '../../model/states.ts'

/** One consent: a token pair of one Atlassian account at one client, used by every connection of that account. */
export interface Grant extends EncryptedTokens {
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
export type RefreshedTokens = EncryptedTokens &
  Pick<Grant, 'accessExpiresAt' | 'previousUntil' | 'rotatedAt' | 'dueAt' | 'scopes'>

/** What a consent brought. */
export type NewGrant = EncryptedTokens &
  Pick<Grant, 'id' | 'clientId' | 'accountId' | 'scopes' | 'accessExpiresAt' | 'dueAt'>

/** Who gave the consent, what their connection is with it, and what it was before. */
export interface NewConnection {
  userId: number
  provider: string
  sites: Site[]
  selectedSites: Site[]
  state: LocalState
  reason: StateReason | null
  before: { grantId: string; state: ConnectionState | null } | null
}

/** What a failed refresh leaves behind. */
export interface RefreshFailure {
  to: GrantState
  reason: StateReason
  set: Partial<Pick<Grant, 'failures' | 'nextTryAt' | 'attemptAt' | 'dueAt'>>
}

/** A refresh that is under way: which pair it replaces, and the lease it has. */
export interface RefreshAttempt {
  id: string
  version: number
  owner: string
}

const HEALTHY_STATE = {
  state: 'active',
  errorCode: null,
  errorDetail: null,
  failures: 0,
  nextTryAt: null,
  attemptAt: null
} as const

export function createGrantRepository(
  { db, tables: { grants, connections }, write, transaction }: Engine,
  now: () => number,
  {
    leases,
    history,
    audit
  }: { leases: LeaseRepository; history: ConnectionHistory; audit: AuditLog }
) {
  const selectById = db
    .select()
    .from(grants)
    .where(eq(grants.id, sql.placeholder('id')))
    .prepare()
  const leaseName = (id: string) => `grant/${id}`

  /** The pair that the attempt set out to replace is still there, and so is its lease: nobody else has got ahead of it. */
  const ownedBy = ({ id, version, owner }: RefreshAttempt): SQL =>
    sql`${grants.id} = ${id} and ${grants.version} = ${version} and ${leases.isHeldBy(leaseName(id), owner)}`

  /** Holds the grants that `where` describes as they are for the rest of a transaction. */
  const lockStatement =
    (where: SQL) =>
    (tx: Database): Statement =>
      tx
        .update(grants)
        .set({ version: sql`${grants.version}` })
        .where(where)
        .returning({ id: grants.id })

  /** A change of grants, the history of their connections first: it has to see what was. `also` is done with it, or not at all. */
  async function applyState(
    where: SQL,
    to: GrantState,
    reason: StateReason | null,
    set: object,
    statements: StatementBuilder[] = [],
    createEntry?: (tx: Database) => TransactionScript<AuditEntry>
  ): Promise<{ done: boolean; changes: StateChange[] }> {
    return await audit.runAudited(function* (tx, record) {
      if ((yield lockStatement(where)(tx)).length === 0) return { done: false, changes: [] }
      const changes = history.toStateChanges(
        yield history.insertForGrantsStatement(tx, where, to, reason)
      )
      yield tx
        .update(grants)
        .set({
          ...set,
          state: to,
          errorCode: reason?.code ?? null,
          errorDetail: reason?.detail ?? null
        })
        .where(where)
      for (const statement of statements) yield statement(tx)
      if (createEntry !== undefined) record(yield* createEntry(tx))
      record(...audit.toStateChangeEntries(changes))
      return { done: true, changes }
    })
  }

  return {
    async get(id: string): Promise<Grant | undefined> {
      const [row] = await selectById.execute({ id })
      return row as Grant | undefined
    },

    /**
     * Takes the lease for a refresh, if the grant is still as it was read (neither refreshed nor failed since), and notes
     * durably that it has begun: a refresh that nobody ends is found again. `retryAt` is when it is looked for.
     */
    async beginRefresh(
      { id, version, owner }: RefreshAttempt,
      failures: number,
      ttlMs: number,
      retryAt: Date,
      stale?: string
    ): Promise<boolean> {
      const isCurrent = sql`${grants.id} = ${id} and ${grants.version} = ${version} and ${grants.failures} = ${failures}`
      return await transaction(function* (tx) {
        if ((yield lockStatement(isCurrent)(tx)).length === 0) return false
        const acquired = yield leases.acquireStatement(tx, leaseName(id), owner, ttlMs, stale)
        yield tx
          .update(grants)
          .set({
            attemptAt: sql`coalesce(${grants.attemptAt}, ${sql.param(new Date(now()), grants.attemptAt)})`,
            dueAt: retryAt
          })
          .where(ownedBy({ id, version, owner }))
        return acquired.length > 0
      }, true)
    },

    async findRefreshLease(id: string): Promise<LeaseHolder | undefined> {
      return await leases.findHolder(leaseName(id))
    },

    /**
     * Replaces the tokens if nobody else has, and gives the lease back: the loser changes nothing, reads again and never
     * overwrites a newer pair.
     */
    async saveTokens(
      attempt: RefreshAttempt,
      tokens: RefreshedTokens
    ): Promise<{ done: boolean; changes: StateChange[] }> {
      return await applyState(
        ownedBy(attempt),
        'active',
        null,
        { ...tokens, ...HEALTHY_STATE, version: attempt.version + 1 },
        [(tx) => leases.releaseStatement(tx, leaseName(attempt.id), attempt.owner)],
        (tx) => createRefreshEntry(tx, attempt.id)
      )
    },

    /** Remembers how a refresh failed, if nobody has stored newer tokens, and gives the lease back. */
    async saveFailure(
      attempt: RefreshAttempt,
      { to, reason, set }: RefreshFailure
    ): Promise<{ done: boolean; changes: StateChange[] }> {
      return await applyState(ownedBy(attempt), to, reason, set, [
        (tx) => leases.releaseStatement(tx, leaseName(attempt.id), attempt.owner)
      ])
    },

    /** What can be said of stored tokens without asking anybody: no lease is needed for it, only that they are the same tokens. */
    async changeState(
      id: string,
      version: number,
      to: GrantState,
      reason: StateReason | null
    ): Promise<{ done: boolean; changes: StateChange[] }> {
      return await applyState(
        sql`${grants.id} = ${id} and ${grants.version} = ${version}`,
        to,
        reason,
        to === 'active' ? { failures: 0, nextTryAt: null } : {}
      )
    },

    /** The client itself is wrong: every grant of it waits, and is asked for again at `nextTryAt`, not before. */
    async markClientMisconfigured(
      clientId: string,
      reason: StateReason,
      nextTryAt: Date,
      except = ''
    ): Promise<StateChange[]> {
      const at = sql.param(nextTryAt, grants.dueAt)
      const set = {
        nextTryAt,
        dueAt: sql`case when ${grants.dueAt} < ${at} then ${grants.dueAt} else ${at} end`,
        failures: sql`${grants.failures} + 1`
      }
      return (
        await applyState(
          sql`${grants.clientId} = ${clientId} and ${grants.id} <> ${except} and ${grants.state} <> 'needs_reconnect'`,
          'misconfigured',
          reason,
          set
        )
      ).changes
    },

    /** The client is right again. What was begun before stays begun. */
    async markClientConfigured(clientId: string): Promise<StateChange[]> {
      return (
        await applyState(
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
    async syncConfiguredClients(
      clientIds: string[],
      removedReason: StateReason
    ): Promise<StateChange[]> {
      const removed = await applyState(
        sql`${notInArray(grants.clientId, clientIds)} and ${grants.state} <> 'needs_reconnect'`,
        'needs_reconnect',
        removedReason,
        { dueAt: null }
      )
      const restored =
        clientIds.length === 0
          ? { changes: [] }
          : await applyState(
              sql`${inArray(grants.clientId, clientIds)} and ${grants.errorCode} = ${removedReason.code}`,
              'active',
              null,
              { failures: 0, nextTryAt: null, dueAt: new Date(now()) }
            )
      return [...removed.changes, ...restored.changes]
    },

    /** Asks upkeep to exchange the pair once more, at the latest at `at`. */
    async refreshBy(id: string, at: Date): Promise<void> {
      await write(() =>
        db
          .update(grants)
          .set({ dueAt: at })
          .where(and(eq(grants.id, id), or(isNull(grants.dueAt), gt(grants.dueAt, at))))
      )
    },

    /**
     * Saves what a consent brought, who holds it, and what `also` says, together. An older consent
     * of the same account at the same client is replaced, because Atlassian has replaced it too
     * (docs/reference/atlassian.md#11-consent); a refresh of it that is under way loses.
     *
     * @returns undefined where the connection is not any more what the caller thinks it is; nothing
     * is stored then
     */
    async connect(
      grant: NewGrant,
      { userId, provider, sites, selectedSites, state, reason, before }: NewConnection,
      statements: StatementBuilder[] = []
    ): Promise<StateChange[] | undefined> {
      const values = {
        ...grant,
        ...HEALTHY_STATE,
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
        selectedSites: JSON.stringify(selectedSites),
        refusedFeatures: '[]',
        state,
        errorCode: reason?.code ?? null,
        errorDetail: reason?.detail ?? null,
        connectedAt: new Date(now()),
        syncDueAt: new Date(now())
      }
      const ownConnection = sql`${connections.userId} = ${userId} and ${connections.provider} = ${provider}`
      return await audit.runAudited(function* (tx, record) {
        const unchanged = yield before === null
          ? tx
              .select({ one: sql`1` })
              .from(sql`(select 1) as one`)
              .where(
                notExists(tx.select({ id: connections.id }).from(connections).where(ownConnection))
              )
          : tx
              .update(connections)
              .set({ provider })
              .where(sql`${ownConnection} and ${connections.grantId} = ${before.grantId}`)
              .returning({ id: connections.id })
        if (unchanged.length === 0) return undefined
        const changes = history.toStateChanges(
          yield history.insertForGrantsStatement(
            tx,
            sql`${grants.id} = ${grant.id} and not (${ownConnection})`,
            'active',
            null
          )
        )
        yield tx
          .insert(grants)
          .values({ ...values, version: 1 })
          .onConflictDoUpdate({
            target: grants.id,
            set: { ...values, version: sql`${grants.version} + 1` }
          })
        const [saved] = yield tx
          .insert(connections)
          .values(row)
          .onConflictDoUpdate({
            target: [connections.userId, connections.provider],
            set: { ...row, version: sql`${connections.version} + 1` }
          })
          .returning({ id: connections.id })
        changes.push(
          ...history.toStateChanges(
            yield history.insertForNewConnectionStatement(
              tx,
              ownConnection,
              before?.state ?? null,
              state,
              reason
            )
          )
        )
        yield leases.revokeStatement(tx, leaseName(grant.id))
        // Whoever connects another account leaves the old one's tokens behind, and nobody needs them.
        if (before !== null && before.grantId !== grant.id) {
          yield tx.delete(grants).where(sql`${grants.id} = ${before.grantId} and ${isOrphaned(tx)}`)
        }
        for (const statement of statements) yield statement(tx)
        const action =
          before === null
            ? 'connection_created'
            : before.state === null
              ? 'account_changed'
              : 'consent_given'
        record(
          { action, userId, connectionId: Number(saved?.id), product: provider },
          ...audit.toStateChangeEntries(changes)
        )
        return changes
      })
    },

    /** Grants that upkeep has to look after, the most urgent first, behind `after`. */
    async listDue(
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
    async erasePreviousTokens(at: Date): Promise<void> {
      await write(() =>
        db
          .update(grants)
          .set({ previousRefreshToken: null, previousUntil: null })
          .where(lte(grants.previousUntil, at))
      )
    },

    /** Takes the turn to warn of `days` left before the year is over, once each. */
    async claimExpiryWarning(
      days: number,
      consentedBefore: Date,
      limit: number
    ): Promise<Array<{ id: string; consentedAt: Date }>> {
      const isDue = and(
        lte(grants.consentedAt, consentedBefore),
        or(isNull(grants.warnedDays), gt(grants.warnedDays, days)),
        ne(grants.state, 'needs_reconnect')
      )
      const ids = db.select({ id: grants.id }).from(grants).where(isDue).limit(limit)
      return await write(() =>
        db
          .update(grants)
          .set({ warnedDays: days })
          .where(and(isDue, sql`${grants.id} in ${ids}`))
          .returning({ id: grants.id, consentedAt: grants.consentedAt })
      )
    },

    /** Erases the tokens of those of these grants that no connection needs any more. To be run after the connections are gone. */
    deleteOrphansStatement: (tx: Database, ids: string[]): Statement =>
      tx
        .delete(grants)
        .where(and(inArray(grants.id, ids), isOrphaned(tx)))
        .returning({ id: grants.id })
  }

  function* createRefreshEntry(tx: Database, id: string): TransactionScript<AuditEntry> {
    return audit.toRefreshEntry(
      yield tx
        .select({ id: connections.id, userId: connections.userId, provider: connections.provider })
        .from(connections)
        .where(eq(connections.grantId, id))
        .orderBy(connections.id)
    )
  }

  function isOrphaned(tx: Database): SQL {
    return notExists(
      tx.select({ id: connections.id }).from(connections).where(eq(connections.grantId, grants.id))
    )
  }
}

export type GrantRepository = ReturnType<typeof createGrantRepository>
