import { aliasedTable, and, eq, exists, ne, or, sql, type SQL } from 'drizzle-orm'
import type { AuditLog, AuditEntry } from './audit-log.ts'
import type { Engine, StatementBuilder } from '../engine.ts'
import type { Grant, GrantRepository } from './grants.ts'
import type { StateChange, ConnectionHistory } from './connection-history.ts'
import { createConnectionScheduleMethods } from './connection-schedule.ts'
import { createConnectionSelect, type ConnectionRow } from './connection-select.ts'
import {
  ALTERED_STATE,
  createSigningKeyCheck,
  isConnectionAuthentic,
  signConnection
} from './connection-signatures.ts'
import type {
  Connection,
  ConnectionOptions,
  ConnectionUpdate,
  ConnectionWithGrant
} from './connection-types.ts'
import { selectFirstUserId } from './users.ts'
import type { Signer } from '../../model/signer.ts'
import type { Site } from '../../model/site.ts'
import { combineStates, type LocalState } from '../../model/states.ts'

export type * from './connection-types.ts'

export function createConnectionRepository(
  engine: Engine,
  {
    grantRepository,
    history,
    audit,
    signer
  }: {
    grantRepository: GrantRepository
    history: ConnectionHistory
    audit: AuditLog
    signer: Signer
  }
) {
  const {
    db,
    tables: { connections, grants, users },
    prepare
  } = engine
  const assertSigningKeysPresent = createSigningKeyCheck(engine, signer)
  const select = createConnectionSelect(engine)
  const others = aliasedTable(connections, 'others')
  const prepareOtherScopes = (user: SQL) =>
    prepare(
      db
        .select({ scopes: grants.scopes })
        .from(connections)
        .innerJoin(grants, eq(connections.grantId, grants.id))
        .where(
          and(
            eq(connections.userId, user),
            eq(grants.clientId, sql`${sql.placeholder('clientId')}`),
            exists(
              db
                .select({ id: others.id })
                .from(others)
                .where(
                  and(
                    eq(others.grantId, grants.id),
                    or(
                      ne(others.userId, user),
                      ne(others.provider, sql`${sql.placeholder('provider')}`)
                    )
                  )
                )
            )
          )
        )
    )
  const selectOtherScopes = prepareOtherScopes(sql`${sql.placeholder('userId')}`)
  const selectOtherScopesOfFirst = prepareOtherScopes(selectFirstUserId(users))

  const toConnectionWithGrant = ({ connection, grant }: ConnectionRow): ConnectionWithGrant =>
    isConnectionAuthentic(signer, connection)
      ? {
          connection: { ...toConnection(connection), isAuthentic: true },
          grant: grant as Grant,
          state: combineStates(grant.state as Grant['state'], connection.state as LocalState)
        }
      : {
          // Whatever the row names may belong to somebody else: nothing of it is used.
          connection: {
            ...toConnection(connection),
            sites: [],
            selectedSites: [],
            isAuthentic: false
          },
          grant: { ...(grant as Grant), ...ALTERED_STATE },
          state: ALTERED_STATE.state
        }

  /** @throws AppError `vault_key_missing` if this instance lacks the key that signed one */
  async function selectList(...query: Parameters<typeof select>): Promise<ConnectionWithGrant[]> {
    const rows = await select(...query)
    await assertSigningKeysPresent(rows)
    return rows.map(toConnectionWithGrant)
  }

  return {
    /** @throws AppError `vault_key_missing` if this instance lacks the key that signed it */
    async get(userId: number, provider: string): Promise<ConnectionWithGrant | undefined> {
      return (await selectList('one', { userId, provider }))[0]
    },

    async list(userId: number): Promise<ConnectionWithGrant[]> {
      return await selectList('byUser', { userId })
    },

    async listByGrant(grantId: string): Promise<ConnectionWithGrant[]> {
      return await selectList('byGrant', { grantId })
    },

    /**
     * Scopes that the user's grants at this client hold for other connections. A new consent
     * must request them again, or those connections lose them.
     *
     * @param owner the user's id, or the first user
     */
    async findScopesOfOtherConnections(
      owner: number | 'first',
      clientId: string,
      provider: string
    ): Promise<string[]> {
      const rows =
        owner === 'first'
          ? await selectOtherScopesOfFirst({ clientId, provider })
          : await selectOtherScopes({ userId: owner, clientId, provider })
      return rows.flatMap(({ scopes }) => String(scopes).split(' ')).filter(Boolean)
    },

    /**
     * Updates a connection if its version is unchanged, together with its history and
     * `statements`.
     *
     * @param entries audit entries for the requested action
     * @returns undefined if another writer changed it first; then nothing is stored
     */
    async update(
      { id, version, userId, provider, grantId, isAuthentic }: Connection,
      { sites, selectedSites, refusedFeatures, state, reason }: ConnectionUpdate,
      statements: StatementBuilder[] = [],
      entries: AuditEntry[] = []
    ): Promise<StateChange[] | undefined> {
      if (!isAuthentic) throw new Error('An altered connection must not be signed')
      const signedColumns = {
        userId,
        provider,
        grantId,
        sites: JSON.stringify(sites),
        selectedSites: JSON.stringify(selectedSites),
        refusedFeatures: JSON.stringify(refusedFeatures),
        state
      }
      const row = {
        ...signedColumns,
        signature: signConnection(signer, signedColumns),
        errorCode: reason?.code ?? null,
        errorDetail: reason?.detail ?? null,
        version: version + 1
      }
      const isUnchanged = sql`${connections.id} = ${id} and ${connections.version} = ${version}
        and ${connections.grantId} = ${grantId} and ${connections.userId} = ${userId}`
      return await audit.runAudited(function* (tx, record) {
        if (
          (yield tx
            .update(connections)
            .set({ version })
            .where(isUnchanged)
            .returning({ id: connections.id })).length === 0
        ) {
          return undefined
        }
        const changes = history.toStateChanges(
          yield history.insertForConnectionStatement(tx, isUnchanged, state, reason)
        )
        for (const statement of statements) yield statement(tx)
        yield tx.update(connections).set(row).where(isUnchanged)
        record(...entries, ...audit.toStateChangeEntries(changes))
        return changes
      })
    },

    async setOptions(userId: number, provider: string, options: ConnectionOptions): Promise<void> {
      await audit.runAudited(function* (tx, record) {
        const updated = yield tx
          .update(connections)
          .set({ options: JSON.stringify(options) })
          .where(and(eq(connections.userId, userId), eq(connections.provider, provider)))
          .returning({ id: connections.id })
        record(
          ...updated.map(
            ({ id }) =>
              ({
                action: 'options_chosen',
                userId,
                connectionId: Number(id),
                product: provider,
                detail: { ...options }
              }) as const
          )
        )
      })
    },

    /**
     * Removes a user's connections, or only that of `provider`, and the tokens that no
     * connection uses any more. Runs `statements` in the same transaction.
     *
     * @returns the ids of the grants whose tokens were erased
     */
    async remove(
      userId: number,
      provider: string | undefined,
      statements: StatementBuilder[] = []
    ): Promise<string[]> {
      return await audit.runAudited(function* (tx, record) {
        const removed = yield tx
          .delete(connections)
          .where(
            and(
              eq(connections.userId, userId),
              provider === undefined ? undefined : eq(connections.provider, provider)
            )
          )
          .returning({
            id: connections.id,
            grantId: connections.grantId,
            provider: connections.provider
          })
        for (const statement of statements) yield statement(tx)
        const deletedGrants = yield grantRepository.deleteOrphansStatement(
          tx,
          removed.map((row) => String(row.grant_id))
        )
        record(
          ...removed.map((row): AuditEntry => ({
            action: 'disconnected',
            userId,
            connectionId: Number(row.id),
            product: String(row.provider)
          })),
          ...(provider === undefined ? [{ action: 'user_removed', userId } as const] : [])
        )
        return deletedGrants.map(({ id }) => String(id))
      })
    },

    ...createConnectionScheduleMethods(engine)
  }

  function toConnection({
    signature: _signature,
    ...row
  }: typeof connections.$inferSelect): Omit<Connection, 'isAuthentic'> {
    return {
      ...row,
      state: row.state as LocalState,
      sites: JSON.parse(row.sites) as Site[],
      selectedSites: JSON.parse(row.selectedSites) as Site[],
      refusedFeatures: JSON.parse(row.refusedFeatures) as string[],
      options: JSON.parse(row.options) as ConnectionOptions
    }
  }
}
