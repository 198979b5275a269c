import { and, eq, inArray } from 'drizzle-orm'
import type { Engine } from '../engine.ts'

/** What the planner knows about a connection. */
export interface PlannedConnectionRow {
  userId: number
  provider: string
  /** The client id. */
  app: string
  /** The granted scopes, separated by spaces. */
  scopes: string
  routinePoints: number | null
  listingPoints: number | null
  fullPoints: number | null
}

/** The measured points of a run; undefined is left as it was. */
export type MeasuredPoints = Partial<
  Record<'routinePoints' | 'listingPoints' | 'fullPoints', number>
>

export const selectPlannedColumns = ({
  connections,
  grants
}: Pick<Engine['tables'], 'connections' | 'grants'>) => ({
  userId: connections.userId,
  provider: connections.provider,
  app: grants.clientId,
  scopes: grants.scopes,
  routinePoints: connections.routinePoints,
  listingPoints: connections.listingPoints,
  fullPoints: connections.fullPoints
})

/** What syncing each connection costs. */
export function createConnectionPlanRepository({ db, tables: { connections, grants } }: Engine) {
  return {
    /** Every connection that the schedule syncs. */
    async list(): Promise<PlannedConnectionRow[]> {
      return await db
        .select(selectPlannedColumns({ connections, grants }))
        .from(connections)
        .innerJoin(grants, eq(connections.grantId, grants.id))
        .where(and(eq(connections.state, 'active'), inArray(grants.state, ['active', 'degraded'])))
    }
  }
}
