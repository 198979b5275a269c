import { and, eq, gt, inArray, isNull, notInArray, or, sql, type SQL } from 'drizzle-orm'
import type { GrantState } from '../../model/states.ts'
import type { Database, Engine, Statement, StatementBuilder, TransactionScript } from '../engine.ts'
import type { AuditEntry, AuditLog } from './audit-log.ts'
import { DAMAGED_KEY_ID } from './encrypted-tokens.ts'
import type { ConnectionHistory, StateChange, StateReason } from './connection-history.ts'

/** Writes the state of grants, with history and audit entries. */
export function createGrantStateWriter(
  { tables: { grants } }: Engine,
  { history, audit }: { history: ConnectionHistory; audit: AuditLog }
) {
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

  return { lockStatement, applyState }
}

export type GrantStateWriter = ReturnType<typeof createGrantStateWriter>

/** State changes that need no call to Atlassian. */
export function createGrantStateMethods(
  { db, tables: { grants, connections }, write, prepare }: Engine,
  now: () => number,
  { applyState }: GrantStateWriter
) {
  const selectMisconfigured = prepare(
    db
      .select({ id: grants.id })
      .from(grants)
      .where(
        and(
          eq(grants.clientId, sql`${sql.placeholder('clientId')}`),
          eq(grants.state, 'misconfigured')
        )
      )
      .limit(1)
  )

  return {
    /**
     * Reactivates grants that can be decrypted again, whose key is `keyId`. They are due for
     * maintenance and, with a schedule, their connections for a sync.
     */
    async restoreDecryptable(
      ids: string[],
      keyId: string,
      at: Date,
      hasSchedule: boolean
    ): Promise<StateChange[]> {
      const dueAt = sql.param(at, grants.dueAt)
      const { changes } = await applyState(
        sql`${inArray(grants.id, ids)} and ${grants.state} = 'needs_reconnect'
          and ${grants.errorCode} = 'tokens_undecryptable'`,
        'active',
        null,
        { keyId, failures: 0, nextTryAt: null, dueAt: sql`coalesce(${grants.dueAt}, ${dueAt})` },
        hasSchedule
          ? [
              (tx) =>
                tx
                  .update(connections)
                  .set({ syncDueAt: at })
                  .where(
                    and(
                      inArray(connections.grantId, ids),
                      or(isNull(connections.syncDueAt), gt(connections.syncDueAt, at))
                    )
                  )
            ]
          : []
      )
      return changes
    },

    /**
     * Gives up grants that only a lost key decrypts: their people have to connect again. If the
     * key is found, they are restored.
     */
    async giveUp(ids: string[], keyId: string, reason: StateReason): Promise<StateChange[]> {
      const isSealed = sql`${inArray(grants.id, ids)} and ${grants.keyId} = ${keyId}`
      const { changes } = await applyState(
        sql`${isSealed} and ${grants.state} <> 'needs_reconnect'`,
        'needs_reconnect',
        reason,
        {}
      )
      await write(() => db.update(grants).set({ keyId: DAMAGED_KEY_ID }).where(isSealed))
      return changes
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
          sql`${grants.clientId} = ${clientId} and ${grants.id} <> ${except}
            and ${grants.state} <> 'needs_reconnect'`,
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
      // Each login asks, and hardly ever is one: no transaction for that.
      if ((await selectMisconfigured({ clientId })).length === 0) return []
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

    /** Ends the wait of a grant whose refreshes fail: it is refreshed within seconds. */
    async retryNow(id: string): Promise<void> {
      await write(() =>
        db
          .update(grants)
          .set({ nextTryAt: null, dueAt: new Date(now()) })
          .where(and(eq(grants.id, id), inArray(grants.state, ['degraded', 'misconfigured'])))
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
    }
  }
}
