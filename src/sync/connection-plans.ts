import type { RateBudget } from '../rate-budget/rate-budget.ts'
import type { Provider } from '../providers/provider.ts'
import type { ProviderRegistry } from '../providers/registry.ts'
import type { Store } from '../store/index.ts'
import type { ConnectionWithGrant } from '../store/repositories/connections.ts'
import type { PlannedConnectionRow } from '../store/repositories/connection-plans.ts'
import { evaluateFeatures } from '../connections/features.ts'
import {
  getNextFullAt,
  getRoutinePoints,
  planConnection,
  sharePoints,
  type ConnectionPlan,
  type PlannerConnection,
  type PointShares,
  type SyncCosts,
  type SyncIntervals
} from './planner.ts'

export interface ConnectionPlanSettings {
  store: Store
  providers: ProviderRegistry
  budget: RateBudget
  intervals: SyncIntervals
}

/** A plan with what its connection needs to follow it. */
export interface ActivePlan extends ConnectionPlan {
  /** When a collection that was last listed in full then is due again. */
  getNextFullAt: (lastAt: number) => number
  /** What a full run costs. */
  fullPoints: number
}

/** How long shares are used before they are computed again. */
const PLAN_TTL_MS = 300_000
/** Until a run has been measured. */
const UNMEASURED_COSTS: SyncCosts = { routine: 2, listing: 50, full: 2_000 }

/** Plans the syncs of every connection; each process computes the same. */
export function createConnectionPlans({
  store,
  providers,
  budget,
  intervals
}: ConnectionPlanSettings) {
  let computedAt = -Infinity
  let sharesByApp = new Map<string, PointShares>()
  let computing: Promise<void> | undefined

  async function computeShares(): Promise<void> {
    const rows = await store.connectionPlans.list()
    const apps = Map.groupBy(rows, ({ app }) => app)
    const next = new Map<string, PointShares>()
    for (const [app, connections] of apps) {
      const planned = connections.map((row) =>
        toPlannerConnection(row, providers.get(row.provider))
      )
      const shares = sharePoints(planned, budget.getHourlyPoints(app), intervals)
      next.set(app, shares)
      budget.reserveRoutinePoints(app, getRoutinePoints(planned, shares, intervals))
    }
    sharesByApp = next
    computedAt = performance.now()
  }

  async function getShares(app: string): Promise<PointShares> {
    if (performance.now() - computedAt > PLAN_TTL_MS) {
      computing ??= computeShares().finally(() => {
        computing = undefined
      })
      await computing
    }
    return sharesByApp.get(app) ?? { routine: Infinity, listing: Infinity, full: Infinity }
  }

  return {
    /** The plan of a connection, from shares that are at most some minutes old. */
    async get(row: PlannedConnectionRow): Promise<ActivePlan> {
      const planned = toPlannerConnection(row, providers.get(row.provider))
      const plan = planConnection(planned, await getShares(row.app), intervals)
      return {
        ...plan,
        fullPoints: planned.costs.full,
        getNextFullAt: (lastAt) => getNextFullAt(planned.key, lastAt, plan.fullMs, intervals.fullMs)
      }
    }
  }
}

export type ConnectionPlans = ReturnType<typeof createConnectionPlans>

export function toPlannedRow({
  connection: { userId, provider, routinePoints, listingPoints, fullPoints },
  grant: { clientId: app, scopes }
}: ConnectionWithGrant): PlannedConnectionRow {
  return { userId, provider, app, scopes, routinePoints, listingPoints, fullPoints }
}

function toPlannerConnection(
  { userId, scopes, routinePoints, listingPoints, fullPoints }: PlannedConnectionRow,
  provider: Provider
): PlannerConnection {
  const hasParent = provider.collections.some(({ parent }) => parent !== undefined)
  return {
    key: `${userId}/${provider.id}`,
    costs: {
      routine: routinePoints ?? UNMEASURED_COSTS.routine,
      listing: hasParent ? (listingPoints ?? UNMEASURED_COSTS.listing) : 0,
      full: fullPoints ?? UNMEASURED_COSTS.full
    },
    isIncremental: evaluateFeatures(provider, scopes.split(' '), { refusedFeatures: [] }).every(
      ({ feature, isEnabled }) => feature.enablesIncremental === undefined || isEnabled
    )
  }
}
