import {
  and,
  eq,
  getTableColumns,
  inArray,
  notExists,
  sql,
  type Column,
  type SQL
} from 'drizzle-orm'
import type { Signer } from '../../model/signer.ts'
import type { Database, Engine, Statement, StatementBuilder } from '../engine.ts'
import type { AuditLog } from './audit-log.ts'
import type { ConnectionHistory, StateChange } from './connection-history.ts'
import { toRefreshLeaseName } from './grant-refresh.ts'
import { HEALTHY_STATE, type NewConnection, type NewGrant } from './grant-types.ts'
import { signConnection } from './connection-signatures.ts'
import type { LeaseRepository } from './leases.ts'
import { toPlaceholders } from '../row-mapper.ts'

/** Creates a grant when a consent is saved, and deletes it when its last connection is gone. */
export function createGrantConsentMethods(
  { db, tables: { grants, connections }, prepare }: Engine,
  now: () => number,
  {
    leases,
    history,
    audit,
    signer
  }: { leases: LeaseRepository; history: ConnectionHistory; audit: AuditLog; signer: Signer }
) {
  const [userIdValue, providerValue] = [sql.placeholder('userId'), sql.placeholder('provider')]
  const isOwnConnection = sql`${connections.userId} = ${userIdValue}
    and ${connections.provider} = ${providerValue}`
  const selectAbsent = prepare(
    db
      .select({ one: sql`1` })
      .from(sql`(select 1) as one`)
      .where(notExists(db.select({ id: connections.id }).from(connections).where(isOwnConnection)))
  )
  const lockUnchanged = prepare(
    db
      .update(connections)
      .set({ provider: sql`${providerValue}` })
      .where(sql`${isOwnConnection} and ${connections.grantId} = ${sql.placeholder('grantId')}`)
      .returning({ id: connections.id })
  )
  const {
    reportDueAt: _reportDueAt,
    version: grantVersion,
    ...grantColumns
  } = getTableColumns(grants)
  const upsertGrant = prepare(
    db
      .insert(grants)
      .values({ ...toPlaceholders(grantColumns), version: 1 })
      .onConflictDoUpdate({
        target: grants.id,
        set: { ...toExcluded(grantColumns), version: sql`${grantVersion} + 1` }
      })
  )
  const { userId, provider, grantId, sites, selectedSites, refusedFeatures, state } = connections
  const { signature, errorCode, errorDetail, connectedAt, syncDueAt } = connections
  const connectionColumns = {
    ...{ userId, provider, grantId, sites, selectedSites, refusedFeatures, state },
    ...{ signature, errorCode, errorDetail, connectedAt, syncDueAt }
  }
  const upsertConnection = prepare(
    db
      .insert(connections)
      .values(toPlaceholders(connectionColumns))
      .onConflictDoUpdate({
        target: [connections.userId, connections.provider],
        set: { ...toExcluded(connectionColumns), version: sql`${connections.version} + 1` }
      })
      .returning({ id: connections.id })
  )

  return {
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
      {
        userId,
        provider,
        sites,
        selectedSites,
        state,
        reason,
        emailDiffers,
        before
      }: NewConnection,
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
      const signedColumns = {
        userId,
        provider,
        grantId: grant.id,
        sites: JSON.stringify(sites),
        selectedSites: JSON.stringify(selectedSites),
        refusedFeatures: '[]',
        state
      }
      const row = {
        ...signedColumns,
        signature: signConnection(signer, signedColumns),
        errorCode: reason?.code ?? null,
        errorDetail: reason?.detail ?? null,
        connectedAt: new Date(now()),
        syncDueAt: new Date(now())
      }
      const own = { userId, provider }
      return await audit.runAudited(function* (tx, record) {
        // Returns a row if the connection is still as the caller read it, and locks that row.
        const unchanged = yield before === null
          ? selectAbsent.bind(own)
          : lockUnchanged.bind({ ...own, grantId: before.grantId })
        if (unchanged.length === 0) return undefined
        const changes = history.toStateChanges(
          yield history.insertForRenewedGrantStatement(grant.id, own)
        )
        yield upsertGrant.bind(values)
        const [saved] = yield upsertConnection.bind(row)
        changes.push(
          ...history.toStateChanges(
            yield history.insertForNewConnectionStatement(own, before?.state ?? null, state, reason)
          )
        )
        yield leases.revokeStatement(toRefreshLeaseName(grant.id))
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
          {
            action,
            userId,
            connectionId: Number(saved?.id),
            product: provider,
            ...(emailDiffers === true ? { detail: { email_differs: true } } : {})
          },
          ...audit.toStateChangeEntries(changes)
        )
        return changes
      })
    },

    /**
     * Deletes the grants among `ids` that no connection uses. Run it after the connections are
     * deleted.
     */
    deleteOrphansStatement: (tx: Database, ids: string[]): Statement =>
      tx
        .delete(grants)
        .where(and(inArray(grants.id, ids), isOrphaned(tx)))
        .returning({ id: grants.id })
  }

  /** The values that a conflicting insert brings (`excluded`). */
  function toExcluded(columns: Record<string, Column>): Record<string, SQL> {
    return Object.fromEntries(
      Object.entries(columns).map(([name, column]) => [name, sql.raw(`excluded."${column.name}"`)])
    )
  }

  function isOrphaned(tx: Database): SQL {
    return notExists(
      tx.select({ id: connections.id }).from(connections).where(eq(connections.grantId, grants.id))
    )
  }
}
