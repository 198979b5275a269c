import { aliasedTable, and, eq, exists, lte, ne, or, sql } from 'drizzle-orm'
import type { Audit, Entry } from './audit-log.ts'
import type { Engine, WithStatement } from '../engine.ts'
import type { Grant, GrantRows } from './grants.ts'
import type { Change, History, Reason } from './connection-history.ts'
import type { Site } from '../../model/site.ts'
import { stateOf, type ConnectionState, type OwnState } from '../../model/states.ts'

/** One product of one user, through a grant. */
export interface Connection {
  id: number
  userId: number
  provider: string
  grantId: string
  /** The sites that the grant reached when it was last asked. */
  sites: Site[]
  /** The sites that are copied. */
  bound: Site[]
  state: OwnState
  errorCode: string | null
  errorDetail: string | null
  /** Features that the gateway has refused for a scope. */
  refused: string[]
  /** One more with each write. */
  version: number
  connectedAt: Date
  options: ConnectionOptions
  /** When it is copied next without anybody asking. */
  syncDueAt: Date | null
}

/** What an owner has chosen of what is optional. */
export interface ConnectionOptions {
  pageBodies?: boolean
}

/** A connection and the grant behind it, as they were at one moment. */
export interface Standing {
  connection: Connection
  grant: Grant
  state: ConnectionState
}

/** What may change of a connection between two consents. */
export type Own = Pick<Connection, 'sites' | 'bound' | 'refused' | 'state'> & {
  reason: Reason | null
}

export function connections(
  { db, tables: { connections, grants }, prepare, write }: Engine,
  { rows, history, audit }: { rows: GrantRows; history: History; audit: Audit }
) {
  const joined = () =>
    db
      .select({ connection: connections, grant: grants })
      .from(connections)
      .innerJoin(grants, eq(connections.grantId, grants.id))
  const [user, client, product] = ['userId', 'clientId', 'provider'].map((name) =>
    sql.placeholder(name)
  )
  const others = aliasedTable(connections, 'others')
  const held = prepare(
    db
      .select({ scopes: grants.scopes })
      .from(connections)
      .innerJoin(grants, eq(connections.grantId, grants.id))
      .where(
        and(
          eq(connections.userId, user as never),
          eq(grants.clientId, client as never),
          exists(
            db
              .select({ id: others.id })
              .from(others)
              .where(
                and(
                  eq(others.grantId, grants.id),
                  or(ne(others.userId, user as never), ne(others.provider, product as never))
                )
              )
          )
        )
      )
  )

  const standing = ({
    connection,
    grant
  }: Awaited<ReturnType<typeof joined>>[number]): Standing => ({
    connection: read(connection),
    grant: grant as Grant,
    state: stateOf(grant.state as Grant['state'], connection.state as OwnState)
  })

  return {
    async get(userId: number, provider: string): Promise<Standing | undefined> {
      const [row] = await joined().where(
        and(eq(connections.userId, userId), eq(connections.provider, provider))
      )
      return row === undefined ? undefined : standing(row)
    },

    async list(userId: number): Promise<Standing[]> {
      return (await joined().where(eq(connections.userId, userId)).orderBy(connections.id)).map(
        standing
      )
    },

    async ofGrant(grantId: string): Promise<Standing[]> {
      return (await joined().where(eq(connections.grantId, grantId)).orderBy(connections.id)).map(
        standing
      )
    },

    /**
     * What the user's grants at this client hold for others than this product of this user: a new consent has to ask for it
     * again or take it away from them.
     */
    async heldScopes(userId: number, clientId: string, provider: string): Promise<string[]> {
      const found = await held({ userId, clientId, provider })
      return found.flatMap(({ scopes }) => String(scopes).split(' ')).filter(Boolean)
    },

    /**
     * Writes what is new about a connection, with what that changes for it and what `also` says, if it is still as it was read.
     *
     * @param told what was asked for, if somebody has
     * @returns undefined where somebody else has written it: to be decided again
     */
    async update(
      { id, version }: Connection,
      { sites, bound, refused, state, reason }: Own,
      also: WithStatement[] = [],
      told: Entry[] = []
    ): Promise<Change[] | undefined> {
      const row = {
        sites: JSON.stringify(sites),
        bound: JSON.stringify(bound),
        refused: JSON.stringify(refused),
        state,
        errorCode: reason?.code ?? null,
        errorDetail: reason?.detail ?? null,
        version: version + 1
      }
      const unchanged = sql`${connections.id} = ${id} and ${connections.version} = ${version}`
      return await audit.inSteps(function* (tx, tell) {
        if (
          (yield tx
            .update(connections)
            .set({ version })
            .where(unchanged)
            .returning({ id: connections.id })).length === 0
        ) {
          return undefined
        }
        const changes = history.read(yield history.ofConnection(tx, unchanged, state, reason))
        for (const statement of also) yield statement(tx)
        yield tx.update(connections).set(row).where(unchanged)
        tell(...told, ...audit.changed(changes))
        return changes
      })
    },

    /** Connections whose turn to be copied has come, those that have waited longest first. */
    async due(
      at: Date,
      limit: number
    ): Promise<Array<{ userId: number; provider: string; state: ConnectionState; dueAt: Date }>> {
      return (
        await joined()
          .where(lte(connections.syncDueAt, at))
          .orderBy(connections.syncDueAt)
          .limit(limit)
      )
        .map(standing)
        .map(({ connection, state }) => ({
          userId: connection.userId,
          provider: connection.provider,
          state,
          dueAt: connection.syncDueAt as Date
        }))
    },

    /** Takes a connection's turn, which makes the next one later. @returns false where somebody else has taken it */
    async takeTurn(
      userId: number,
      provider: string,
      dueAt: Date,
      next: Date | null
    ): Promise<boolean> {
      return (
        (
          await write(() =>
            db
              .update(connections)
              .set({ syncDueAt: next })
              .where(
                and(
                  eq(connections.userId, userId),
                  eq(connections.provider, provider),
                  eq(connections.syncDueAt, dueAt)
                )
              )
              .returning({ id: connections.id })
          )
        ).length === 1
      )
    },

    /** @param at null: never by itself */
    async schedule(userId: number, provider: string, at: Date | null): Promise<void> {
      await write(() =>
        db
          .update(connections)
          .set({ syncDueAt: at })
          .where(and(eq(connections.userId, userId), eq(connections.provider, provider)))
      )
    },

    async choose(userId: number, provider: string, options: ConnectionOptions): Promise<void> {
      await audit.inSteps(function* (tx, tell) {
        const chosen = yield tx
          .update(connections)
          .set({ options: JSON.stringify(options) })
          .where(and(eq(connections.userId, userId), eq(connections.provider, provider)))
          .returning({ id: connections.id })
        tell(
          ...chosen.map(
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
     * Removes a user's connections, or the one of a product, with what `also` says and the tokens that nobody needs any more.
     *
     * @returns the grants whose tokens went
     */
    async remove(
      userId: number,
      provider: string | undefined,
      also: WithStatement[] = []
    ): Promise<string[]> {
      return await audit.inSteps(function* (tx, tell) {
        const left = yield tx
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
        for (const statement of also) yield statement(tx)
        const gone = yield rows.erasingOrphans(
          tx,
          left.map((row) => String(row.grant_id))
        )
        tell(
          ...left.map((row): Entry => ({
            action: 'disconnected',
            userId,
            connectionId: Number(row.id),
            product: String(row.provider)
          })),
          ...(provider === undefined ? [{ action: 'user_removed', userId } as const] : [])
        )
        return gone.map(({ id }) => String(id))
      })
    }
  }

  function read(row: typeof connections.$inferSelect): Connection {
    return {
      ...row,
      state: row.state as OwnState,
      sites: JSON.parse(row.sites) as Site[],
      bound: JSON.parse(row.bound) as Site[],
      refused: JSON.parse(row.refused) as string[],
      options: JSON.parse(row.options) as ConnectionOptions
    }
  }
}
