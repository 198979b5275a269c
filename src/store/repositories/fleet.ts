import {
  and,
  asc,
  desc,
  eq,
  gt,
  gte,
  inArray,
  isNotNull,
  isNull,
  not,
  or,
  sql,
  type SQL
} from 'drizzle-orm'
import type { Signer } from '../../model/signer.ts'
import type { Site } from '../../model/site.ts'
import {
  combineStates,
  type ConnectionState,
  type GrantState,
  type LocalState
} from '../../model/states.ts'
import type { Engine } from '../engine.ts'
import { containsText } from '../text-match.ts'
import { combineStatesInSql } from './combined-state.ts'
import {
  ALTERED_STATE,
  createSigningKeyCheck,
  isConnectionAuthentic,
  isUnsigned
} from './connection-signatures.ts'
import { ACTIVE_STATES, toRun, type RunState, type SyncRun } from './sync-run-types.ts'
import { normalizeEmail, type UserRow } from './users.ts'

export interface ConnectionFilter {
  state?: ConnectionState | undefined
  product?: string | undefined
  /** Cloud id, name, host or URL of a site. */
  site?: string | undefined
  /** Part of the person's address or name, or of a site. */
  text?: string | undefined
}

export interface RunFilter {
  state?: RunState | undefined
  product?: string | undefined
  ownerId?: number | undefined
  /** Only runs that were created at this time or later. */
  since?: Date | undefined
}

/** A connection as an operator sees it. No column of a token is read. */
export interface FleetConnection {
  id: number
  user: UserRow
  product: string
  state: ConnectionState
  errorCode: string | null
  errorDetail: string | null
  accountId: string
  /** The selected sites. */
  sites: Site[]
  connectedAt: Date
  consentedAt: Date
  refreshedAt: Date | null
  nextTryAt: Date | null
  syncDueAt: Date | null
  lastRun: Pick<SyncRun, 'id' | 'state' | 'errorCode' | 'finishedAt'> | null
}

export interface ConnectionCount {
  product: string
  state: ConnectionState
  count: number
}

/** The latest time that a Date can hold, and the greatest id. */
const LAST_POSITION = [8.64e15, Number.MAX_SAFE_INTEGER] as const

/** Lists of all owners, for operators. */
export function createFleetRepository(engine: Engine, signer: Signer) {
  const {
    db,
    tables: { connections, grants, users, runs }
  } = engine
  const assertSigningKeysPresent = createSigningKeyCheck(engine, signer)

  return {
    /**
     * In the order of their ids, after the connection with the id `after`.
     *
     * The state of a connection whose signature is invalid is `needs_reconnect`. SQL can tell only
     * those without a signature, as after a key was given up: filters and counts take a row that
     * somebody else has changed for what it says.
     *
     * @throws AppError `vault_key_missing` if this instance lacks the key that signed one
     */
    async listConnections(
      filter: ConnectionFilter,
      limit: number,
      after = 0
    ): Promise<FleetConnection[]> {
      const rows = await db
        .select({
          connection: connections,
          user: { id: users.id, email: users.email, displayName: users.displayName },
          grant: {
            state: grants.state,
            errorCode: grants.errorCode,
            errorDetail: grants.errorDetail,
            accountId: grants.accountId,
            consentedAt: grants.consentedAt,
            rotatedAt: grants.rotatedAt,
            nextTryAt: grants.nextTryAt
          },
          lastRunId: sql<number | string | null>`(select max(${runs.id}) from ${runs}
            where ${runs.ownerId} = ${connections.userId}
              and ${runs.provider} = ${connections.provider})`
        })
        .from(connections)
        .innerJoin(grants, eq(connections.grantId, grants.id))
        .innerJoin(users, eq(connections.userId, users.id))
        .where(and(gt(connections.id, after), matchConnections(filter)))
        .orderBy(asc(connections.id))
        .limit(limit)
      await assertSigningKeysPresent(rows)
      const lastRuns = await findRuns(
        rows.map(({ lastRunId }) => lastRunId).filter((id) => id !== null)
      )
      return rows.map(({ connection, user, grant, lastRunId }) => {
        const isAuthentic = isConnectionAuthentic(signer, connection)
        const state = combineStates(grant.state as GrantState, connection.state as LocalState)
        const cause = state === grant.state ? grant : connection
        return {
          id: connection.id,
          user,
          product: connection.provider,
          ...(isAuthentic
            ? {
                state,
                errorCode: state === 'active' ? null : cause.errorCode,
                errorDetail: state === 'active' ? null : cause.errorDetail
              }
            : ALTERED_STATE),
          accountId: grant.accountId,
          sites: isAuthentic ? (JSON.parse(connection.selectedSites) as Site[]) : [],
          connectedAt: connection.connectedAt,
          consentedAt: grant.consentedAt,
          refreshedAt: grant.rotatedAt,
          nextTryAt: grant.nextTryAt,
          syncDueAt: connection.syncDueAt,
          lastRun: lastRuns.get(Number(lastRunId)) ?? null
        }
      })
    },

    /** Counts the connections that match, by product and state, as `listConnections` filters. */
    async countConnections(filter: ConnectionFilter): Promise<ConnectionCount[]> {
      const combined = combineStatesInSql(sql`${grants.state}`, sql`${connections.state}`)
      const state = sql`case when ${isUnsigned(connections.signature)}
        then ${sql.raw(`'${ALTERED_STATE.state}'`)} else ${combined} end`
      const selection = db
        .select({ product: connections.provider, state, count: sql`count(*)` })
        .from(connections)
        .innerJoin(grants, eq(connections.grantId, grants.id))
      const rows = await (
        filter.text === undefined
          ? selection
          : selection.innerJoin(users, eq(connections.userId, users.id))
      )
        .where(matchConnections(filter))
        .groupBy(connections.provider, state)
      return rows.map(({ product, state, count }) => ({
        product,
        state: state as ConnectionState,
        count: Number(count)
      }))
    },

    /** Newest first, older than the run at the position `before`. */
    async listRuns(
      { state, product, ownerId, since }: RunFilter,
      limit: number,
      [beforeMs, beforeId]: readonly [createdAtMs: number, id: number] = LAST_POSITION
    ): Promise<SyncRun[]> {
      return (
        await db
          .select()
          .from(runs)
          .where(
            and(
              state === undefined ? undefined : matchRunState(state),
              product === undefined ? undefined : eq(runs.provider, product),
              ownerId === undefined ? undefined : eq(runs.ownerId, ownerId),
              since === undefined ? undefined : gte(runs.createdAt, since),
              sql`(${runs.createdAt}, ${runs.id}) <
                (${sql.param(new Date(beforeMs), runs.createdAt)}, ${beforeId})`
            )
          )
          .orderBy(desc(runs.createdAt), desc(runs.id))
          .limit(limit)
      ).map(toRun)
    }
  }

  async function findRuns(
    ids: ReadonlyArray<number | string>
  ): Promise<Map<number, NonNullable<FleetConnection['lastRun']>>> {
    if (ids.length === 0) return new Map()
    const rows = await db
      .select({
        id: runs.id,
        state: runs.state,
        errorCode: runs.errorCode,
        finishedAt: runs.finishedAt
      })
      .from(runs)
      .where(inArray(runs.id, ids.map(Number)))
    return new Map(rows.map((row) => [row.id, { ...row, state: row.state as RunState }]))
  }

  /** Active and ended runs have indexes of their own. */
  function matchRunState(state: RunState): SQL | undefined {
    const isActive = ACTIVE_STATES.includes(state)
    return and(eq(runs.state, state), isActive ? isNotNull(runs.activeKey) : isNull(runs.activeKey))
  }

  function matchConnections({ state, product, site, text }: ConnectionFilter): SQL | undefined {
    return and(
      state === undefined ? undefined : matchState(state),
      product === undefined ? undefined : eq(connections.provider, product),
      site === undefined ? undefined : matchSite(site),
      text === undefined
        ? undefined
        : or(
            containsText(users.emailKey, normalizeEmail(text)),
            containsText(users.displayName, text),
            ...[connections.sites, connections.selectedSites].map((column) =>
              containsText(column, JSON.stringify(text).slice(1, -1))
            )
          )
    )
  }

  /** As `combineStates`, in conditions on single columns, which indexes serve. */
  function matchState(state: ConnectionState): SQL | undefined {
    // Two searches: one condition on columns of both tables would read every grant.
    if (state === ALTERED_STATE.state) {
      return inArray(
        connections.id,
        db
          .select({ id: connections.id })
          .from(connections)
          .innerJoin(grants, eq(connections.grantId, grants.id))
          .where(eq(grants.state, state))
          .unionAll(
            db
              .select({ id: connections.id })
              .from(connections)
              .where(isUnsigned(connections.signature))
          )
      )
    }
    return and(matchSignedState(state), not(isUnsigned(connections.signature)))
  }

  function matchSignedState(state: Exclude<ConnectionState, 'needs_reconnect'>): SQL | undefined {
    switch (state) {
      case 'misconfigured':
        return eq(grants.state, state)
      case 'needs_site':
        return and(eq(connections.state, state), inArray(grants.state, ['active', 'degraded']))
      case 'degraded':
        return and(eq(grants.state, state), sql`${connections.state} <> 'needs_site'`)
      default:
        return and(eq(connections.state, state), eq(grants.state, 'active'))
    }
  }

  /** Sites are stored as JSON, so the condition compares a member with its name. */
  function matchSite(site: string): SQL | undefined {
    const url = /^https?:\/\//i.test(site) ? site.replace(/(?<!\/)\/+$/, '') : `https://${site}`
    const members = { cloudId: site, name: site, url }
    return or(
      ...Object.entries(members).flatMap(([name, value]) =>
        [connections.sites, connections.selectedSites].map((column) =>
          containsText(column, `"${name}":${JSON.stringify(value)}`)
        )
      )
    )
  }
}
