import { and, eq, inArray, ne, sql } from 'drizzle-orm'
import type { Engine, WithStatement } from './engine.ts'
import type { Grant, GrantRows } from './grants.ts'
import type { Change, History, Reason } from './history.ts'
import type { Site } from './site.ts'
import { stateOf, type ConnectionState, type OwnState } from './states.ts'

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
  connectedAt: Date
}

/** A connection and the grant behind it, as they were at one moment. */
export interface Standing { connection: Connection, grant: Grant, state: ConnectionState }

/** What may change of a connection between two consents. */
export type Own = Pick<Connection, 'sites' | 'bound' | 'refused' | 'state'> & { reason: Reason | null }

export function connections ({ db, tables: { connections, grants }, atomically, prepare }: Engine, { rows, history }: { rows: GrantRows, history: History }) {
  const joined = () => db.select({ connection: connections, grant: grants }).from(connections).innerJoin(grants, eq(connections.grantId, grants.id))
  const held = prepare(db.select({ scopes: grants.scopes }).from(connections).innerJoin(grants, eq(connections.grantId, grants.id))
    .where(and(eq(connections.userId, sql.placeholder('userId')), eq(grants.clientId, sql.placeholder('clientId')), ne(connections.provider, sql.placeholder('except')))))

  const standing = ({ connection, grant }: Awaited<ReturnType<typeof joined>>[number]): Standing => ({
    connection: read(connection),
    grant: grant as Grant,
    state: stateOf(grant.state as Grant['state'], connection.state as OwnState)
  })

  return {
    async get (userId: number, provider: string): Promise<Standing | undefined> {
      const [row] = await joined().where(and(eq(connections.userId, userId), eq(connections.provider, provider)))
      return row === undefined ? undefined : standing(row)
    },

    async list (userId: number): Promise<Standing[]> {
      return (await joined().where(eq(connections.userId, userId)).orderBy(connections.id)).map(standing)
    },

    async ofGrant (grantId: string): Promise<Standing[]> {
      return (await joined().where(eq(connections.grantId, grantId)).orderBy(connections.id)).map(standing)
    },

    /** What this user's connections of other products already hold at this client: a new consent has to ask for it again or lose it. */
    async heldScopes (userId: number, clientId: string, except: string): Promise<string[]> {
      const found = await held({ userId, clientId, except })
      return found.flatMap(({ scopes }) => String(scopes).split(' ')).filter(Boolean)
    },

    /** Writes what is new about a connection, if it is still of the same grant, with what that changes for it and what `also` says. */
    async update ({ id, grantId }: Connection, { sites, bound, refused, state, reason }: Own, also: WithStatement[] = []): Promise<Change[]> {
      const row = { sites: JSON.stringify(sites), bound: JSON.stringify(bound), refused: JSON.stringify(refused), state, errorCode: reason?.code ?? null, errorDetail: reason?.detail ?? null }
      const [changes = []] = await atomically((tx) => [
        history.ofConnection(tx, id, state, reason),
        tx.update(connections).set(row).where(and(eq(connections.id, id), eq(connections.grantId, grantId))),
        ...also.map((statement) => statement(tx))
      ])
      return history.read(changes)
    },

    /**
     * Removes connections, the tokens that nobody needs any more, and what `also` says, together.
     *
     * @returns whether tokens went too
     */
    async remove (ids: number[], also: WithStatement[] = []): Promise<{ erased: string[] }> {
      const [, orphans = []] = await atomically((tx) => [
        tx.delete(connections).where(inArray(connections.id, ids)),
        rows.erasingOrphans(tx),
        ...also.map((statement) => statement(tx))
      ])
      return { erased: orphans.map(({ id }) => String(id)) }
    }
  }

  function read (row: typeof connections.$inferSelect): Connection {
    return { ...row, state: row.state as OwnState, sites: JSON.parse(row.sites) as Site[], bound: JSON.parse(row.bound) as Site[], refused: JSON.parse(row.refused) as string[] }
  }
}
