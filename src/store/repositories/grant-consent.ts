import { and, eq, inArray, notExists, sql, type SQL } from 'drizzle-orm'
import type { Signer } from '../../model/signer.ts'
import type { Database, Engine, Statement, StatementBuilder } from '../engine.ts'
import type { AuditLog } from './audit-log.ts'
import type { ConnectionHistory, StateChange } from './connection-history.ts'
import { toRefreshLeaseName } from './grant-refresh.ts'
import { HEALTHY_STATE, type NewConnection, type NewGrant } from './grant-types.ts'
import { signConnection } from './connection-signatures.ts'
import type { LeaseRepository } from './leases.ts'

/** Creates a grant when a consent is saved, and deletes it when its last connection is gone. */
export function createGrantConsentMethods(
  { tables: { grants, connections } }: Engine,
  now: () => number,
  {
    leases,
    history,
    audit,
    signer
  }: { leases: LeaseRepository; history: ConnectionHistory; audit: AuditLog; signer: Signer }
) {
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
      const ownConnection = sql`${connections.userId} = ${userId} and ${connections.provider} = ${provider}`
      return await audit.runAudited(function* (tx, record) {
        // Returns a row if the connection is still as the caller read it, and locks that row.
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
        yield leases.revokeStatement(tx, toRefreshLeaseName(grant.id))
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

  function isOrphaned(tx: Database): SQL {
    return notExists(
      tx.select({ id: connections.id }).from(connections).where(eq(connections.grantId, grants.id))
    )
  }
}
