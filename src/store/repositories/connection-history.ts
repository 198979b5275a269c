import { desc, eq, and, lt, sql, type SQL } from 'drizzle-orm'
import type { ConnectionState, GrantState, LocalState } from '../../model/states.ts'
import { combineStatesInSql } from './combined-state.ts'
import type { Database, Engine, RawRow, Statement } from '../engine.ts'

/** Why a state changed: a code of `src/lib/errors.ts` and its sentence. */
export interface StateReason {
  code: string
  detail: string
}

/** One change of a connection's state. */
export interface StateChange {
  connectionId: number
  userId: number
  provider: string
  from: ConnectionState | null
  to: ConnectionState
  code: string | null
  detail: string | null
}

export interface ConnectionHistoryRow {
  id: number
  from: ConnectionState | null
  to: ConnectionState
  code: string | null
  detail: string | null
  at: Date
}

/**
 * Records state changes of connections. Run its statements in the same transaction, before the
 * statement that changes the state.
 */
export function createConnectionHistory(
  { db, tables: { history, grants, connections }, newId, prepare }: Engine,
  now: () => number
) {
  const [grantState, connectionState] = [sql`${grants.state}`, sql`${connections.state}`]

  const selectFromConnection = (column: SQL) =>
    sql`(select ${column} from ${connections} where ${connections.id} = ${history.connectionId})`

  const toValues = (reason: StateReason | null) => ({
    code: reason?.code ?? null,
    detail: reason?.detail ?? null,
    at: Math.trunc(now())
  })

  const insertStatement = (
    tx: Database,
    from: SQL,
    to: SQL,
    where: SQL,
    { code, detail, at }: Record<'code' | 'detail' | 'at', unknown>
  ) =>
    tx
      .insert(history)
      .select(
        sql`select ${newId('history')}, ${connections.id}, ${from}, ${to},
            ${code}, ${detail}, cast(${at} as bigint)
          from ${connections} join ${grants} on ${grants.id} = ${connections.grantId}
          where ${where} and ${from} is distinct from ${to}`
      )
      .returning({
        connectionId: history.connectionId,
        userId: selectFromConnection(sql`${connections.userId}`).as('user_id'),
        provider: selectFromConnection(sql`${connections.provider}`).as('provider'),
        from: history.fromState,
        to: history.toState,
        code: history.code,
        detail: history.detail
      })

  const p = (name: string) => sql`${sql.placeholder(name)}`
  const placeholders = { code: p('code'), detail: p('detail'), at: p('at') }
  const isConnection = sql`${connections.userId} = ${p('userId')}
    and ${connections.provider} = ${p('provider')}`
  const insertForNew = prepare(insertStatement(db, p('from'), p('to'), isConnection, placeholders))
  const insertForRenewed = prepare(
    insertStatement(
      db,
      combineStatesInSql(grantState, connectionState),
      combineStatesInSql(sql`'active'`, connectionState),
      sql`${grants.id} = ${p('grantId')} and not (${isConnection})`,
      placeholders
    )
  )

  return {
    /**
     * Records the new state of the grants that `where` selects, for each connection whose
     * combined state changes.
     */
    insertForGrantsStatement: (
      tx: Database,
      where: SQL,
      to: GrantState,
      reason: StateReason | null
    ): Statement =>
      insertStatement(
        tx,
        combineStatesInSql(grantState, connectionState),
        combineStatesInSql(sql`${to}`, connectionState),
        where,
        toValues(reason)
      ),

    /** The same for one connection's own state. */
    insertForConnectionStatement: (
      tx: Database,
      where: SQL,
      to: LocalState,
      reason: StateReason | null
    ): Statement =>
      insertStatement(
        tx,
        combineStatesInSql(grantState, connectionState),
        combineStatesInSql(grantState, sql`${to}`),
        where,
        toValues(reason)
      ),

    /**
     * Records the state `to` of a connection that was created or replaced. Run it after the
     * connection is stored.
     */
    insertForNewConnectionStatement: (
      connection: { userId: number; provider: string },
      from: ConnectionState | null,
      to: LocalState,
      reason: StateReason | null
    ): Statement => insertForNew.bind({ ...connection, from, to, ...toValues(reason) }),

    /** Records that a grant has become active, for its connections but one that is replaced. */
    insertForRenewedGrantStatement: (
      grantId: string,
      replaced: { userId: number; provider: string }
    ): Statement => insertForRenewed.bind({ grantId, ...replaced, ...toValues(null) }),

    /** Converts the rows such a statement returned. */
    toStateChanges: (rows: RawRow[]): StateChange[] =>
      rows.map((row) => ({
        connectionId: row.connection_id as number,
        userId: row.user_id as number,
        provider: row.provider as string,
        from: row.from_state as ConnectionState | null,
        to: row.to_state as ConnectionState,
        code: row.code as string | null,
        detail: row.detail as string | null
      })),

    /** Newest first, older than the row with the id `before`. */
    async list(
      connectionId: number,
      limit: number,
      before = Number.MAX_SAFE_INTEGER
    ): Promise<ConnectionHistoryRow[]> {
      return (await db
        .select({
          id: history.id,
          from: history.fromState,
          to: history.toState,
          code: history.code,
          detail: history.detail,
          at: history.at
        })
        .from(history)
        .where(and(eq(history.connectionId, connectionId), lt(history.id, before)))
        .orderBy(desc(history.id))
        .limit(limit)) as ConnectionHistoryRow[]
    }
  }
}

export type ConnectionHistory = ReturnType<typeof createConnectionHistory>
