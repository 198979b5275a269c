import { and, eq, gt, inArray, lt, or, sql } from 'drizzle-orm'
import type { Engine, PreparedStatement } from '../engine.ts'

/** What a row is about. */
interface RateBudgetKey {
  name: string
  /** The client id. */
  app: string
  /** `app`, `site`, `account`, `endpoint`, `product` or `pace`. */
  scope: string
  /** The cloud id, endpoint or product. */
  target: string
}

/**
 * The shared state of one budget: remaining block in ms, its source, reason and consecutive
 * refusals; points used this hour, and the quota that Atlassian reported.
 */
export interface RateBudgetRow extends RateBudgetKey {
  waitMs: number
  owner: string
  reason: string | null
  consecutiveRefusals: number
  hour: number
  pointsUsed: number
  quota: number | null
}

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

/** Rate-limit state that all instances share. Times are the database's. */
export function createRateBudgetRepository({
  db,
  tables: { budgets },
  write,
  prepare,
  nowPlus
}: Engine) {
  const selectRows = () =>
    db
      .select({
        name: budgets.name,
        app: budgets.app,
        scope: budgets.scope,
        target: budgets.target,
        waitMs: sql<number>`${budgets.until} - (${nowPlus(0)})`.as('wait_ms'),
        owner: budgets.owner,
        reason: budgets.reason,
        consecutiveRefusals: budgets.consecutiveRefusals,
        hour: budgets.hour,
        pointsUsed: budgets.pointsUsed,
        quota: budgets.quota
      })
      .from(budgets)
  const preparedBySize = new Map<number, PreparedStatement>()
  const prepareSelect = (size: number): PreparedStatement => {
    const cached =
      preparedBySize.get(size) ??
      prepare(
        selectRows().where(
          inArray(
            budgets.name,
            Array.from({ length: size }, (_, i) => sql.placeholder(`name ${i}`) as never)
          )
        )
      )
    preparedBySize.set(size, cached)
    return cached
  }
  const excludedColumn = (column: { name: string }) => sql.raw(`excluded."${column.name}"`)
  const nextUsedPoints = (points: number, minimumUsed: number) => {
    const sum = sql`(case when ${budgets.hour} < ${excludedColumn(budgets.hour)} then 0
      else ${budgets.pointsUsed} end) + ${points}`
    return sql`case when ${sum} > ${minimumUsed} then ${sum} else ${minimumUsed} end`
  }

  return {
    async listByNames(names: readonly string[]): Promise<RateBudgetRow[]> {
      const rows = await prepareSelect(names.length)(
        Object.fromEntries(names.map((name, i) => [`name ${i}`, name]))
      )
      return rows.map((row) => ({
        name: String(row.name),
        app: String(row.app),
        scope: String(row.scope),
        target: String(row.target),
        waitMs: Number(row.wait_ms),
        owner: String(row.owner),
        reason: row.reason === null ? null : String(row.reason),
        consecutiveRefusals: Number(row.strikes),
        hour: Number(row.hour),
        pointsUsed: Number(row.used),
        quota: row.quota === null ? null : Number(row.quota)
      }))
    },

    /** Rows that block calls now, or count the points of this hour. */
    async listCurrent(hour: number): Promise<RateBudgetRow[]> {
      const rows = await selectRows().where(
        or(gt(budgets.until, nowPlus(0)), eq(budgets.hour, hour))
      )
      return rows.map((row) => ({ ...row, waitMs: Number(row.waitMs) }))
    },

    /** Blocks calls for this long, unless they are blocked for longer already. */
    async block({
      name,
      waitMs,
      owner,
      reason,
      consecutiveRefusals,
      ...key
    }: Omit<RateBudgetRow, 'hour' | 'pointsUsed' | 'quota'>): Promise<void> {
      const values = { until: nowPlus(waitMs), owner, reason, consecutiveRefusals }
      await write(() =>
        db
          .insert(budgets)
          .values({ name, ...key, ...values })
          .onConflictDoUpdate({
            target: budgets.name,
            set: { ...key, ...values },
            setWhere: sql`${budgets.until} <= ${nowPlus(waitMs)}`
          })
      )
    },

    /**
     * Adds points used this hour.
     *
     * @param usage `minimumUsed` is a lower bound for the total, as reported by Atlassian
     * @returns the total of all instances
     */
    async addUsage({
      points,
      minimumUsed,
      ...row
    }: RateBudgetKey & {
      hour: number
      points: number
      minimumUsed: number
      quota: number | null
    }): Promise<number> {
      const [updated] = await write(() =>
        db
          .insert(budgets)
          .values({ ...row, until: new Date(0), pointsUsed: Math.max(points, minimumUsed) })
          .onConflictDoUpdate({
            target: budgets.name,
            set: {
              app: row.app,
              scope: row.scope,
              target: row.target,
              pointsUsed: nextUsedPoints(points, minimumUsed),
              hour: sql`case when ${budgets.hour} < ${excludedColumn(budgets.hour)}
                then ${excludedColumn(budgets.hour)} else ${budgets.hour} end`,
              quota: sql`coalesce(${excludedColumn(budgets.quota)}, ${budgets.quota})`
            }
          })
          .returning({ pointsUsed: budgets.pointsUsed })
      )
      return updated?.pointsUsed ?? points
    },

    /** Deletes rows that expired more than a day ago. */
    async purge(now: number): Promise<void> {
      await write(() =>
        db
          .delete(budgets)
          .where(
            and(
              lt(budgets.until, nowPlus(-DAY_MS)),
              lt(budgets.hour, Math.floor((now - DAY_MS) / HOUR_MS))
            )
          )
      )
    }
  }
}

export type RateBudgetRepository = ReturnType<typeof createRateBudgetRepository>
