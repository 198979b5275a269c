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

/**
 * One consent: the token pair of one Atlassian account at one client. All connections of that
 * account use it.
 */
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

/** The result of a refresh. */
export type RefreshedTokens = EncryptedTokens &
  Pick<Grant, 'accessExpiresAt' | 'previousUntil' | 'rotatedAt' | 'dueAt' | 'scopes'>

/** The result of a consent. */
export type NewGrant = EncryptedTokens &
  Pick<Grant, 'id' | 'clientId' | 'accountId' | 'scopes' | 'accessExpiresAt' | 'dueAt'>

/** The user who gave the consent, their connection, and its earlier state. */
export interface NewConnection {
  userId: number
  provider: string
  sites: Site[]
  selectedSites: Site[]
  state: LocalState
  reason: StateReason | null
  before: { grantId: string; state: ConnectionState | null } | null
}

/** What to store after a failed refresh. */
export interface RefreshFailure {
  to: GrantState
  reason: StateReason
  set: Partial<Pick<Grant, 'failures' | 'nextTryAt' | 'attemptAt' | 'dueAt'>>
}

/** A refresh in progress: the version of the pair that it replaces, and the owner of its lease. */
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

  /** The grant still has the version that the attempt replaces, and the attempt holds the lease. */
  const ownedBy = ({ id, version, owner }: RefreshAttempt): SQL =>
    sql`${grants.id} = ${id} and ${grants.version} = ${version} and ${leases.isHeldBy(leaseName(id), owner)}`

  /** Locks the grants that match `where` for the rest of the transaction. */
  const lockStatement =
    (where: SQL) =>
    (tx: Database): Statement =>
      tx
        .update(grants)
        .set({ version: sql`${grants.version}` })
        .where(where)
        .returning({ id: grants.id })

  /**
   * Changes the state of grants in one transaction with `statements`. Writes the history first,
   * because it records the state before the change.
   */
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
     * Acquires the refresh lease if the grant has neither been refreshed nor failed since it was
     * read. Records the start durably, so that maintenance finds an unfinished refresh.
     *
     * @param retryAt when maintenance looks for an unfinished refresh
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
     * Replaces the tokens and releases the lease, unless another owner has stored a newer pair.
     * In that case nothing changes and `done` is false.
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

    /** Stores a refresh failure and releases the lease, unless newer tokens are stored. */
    async saveFailure(
      attempt: RefreshAttempt,
      { to, reason, set }: RefreshFailure
    ): Promise<{ done: boolean; changes: StateChange[] }> {
      return await applyState(ownedBy(attempt), to, reason, set, [
        (tx) => leases.releaseStatement(tx, leaseName(attempt.id), attempt.owner)
      ])
    },

    /**
     * Changes the state without a call to Atlassian. Needs no lease, only the same version of
     * the tokens.
     */
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

    /** Marks every grant of a misconfigured client. None is refreshed before `nextTryAt`. */
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

    /**
     * Reactivates the grants of a client whose settings are correct again. Leaves `attemptAt`,
     * so an unfinished refresh stays recorded.
     */
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

    /** Makes misconfigured grants due at startup, because the settings may have changed. */
    async retryMisconfigured(): Promise<void> {
      await write(() =>
        db
          .update(grants)
          .set({ nextTryAt: null, dueAt: new Date(now()) })
          .where(eq(grants.state, 'misconfigured'))
      )
    },

    /**
     * Grants of a client that is no longer configured need a new consent. If the client returns,
     * its grants become active again.
     */
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

    /** Makes the grant due for a refresh at `at`, or earlier if it already is. */
    async refreshBy(id: string, at: Date): Promise<void> {
      await write(() =>
        db
          .update(grants)
          .set({ dueAt: at })
          .where(and(eq(grants.id, id), or(isNull(grants.dueAt), gt(grants.dueAt, at))))
      )
    },

    /**
     * Saves a consent and its connection in one transaction with `statements`. Replaces an older
     * consent of the same account at the same client, because Atlassian replaces it too
     * (docs/reference/atlassian.md#11-consent). A refresh in progress loses its lease.
     *
     * @returns undefined if the connection has changed since the caller read it; nothing is
     *   stored then
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
        // After a change of account, the tokens of the old account may have no connection.
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

    /** Grants due for maintenance, the most urgent first, after the position `after`. */
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

    /** Erases previous refresh tokens whose grace period has ended. */
    async erasePreviousTokens(at: Date): Promise<void> {
      await write(() =>
        db
          .update(grants)
          .set({ previousRefreshToken: null, previousUntil: null })
          .where(lte(grants.previousUntil, at))
      )
    },

    /**
     * Claims the expiry warning at `days` before the end of the consent, so that it is logged
     * once per grant.
     */
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

    /**
     * Erases those of the grants that no connection uses. Run it after the connections are
     * deleted.
     */
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
