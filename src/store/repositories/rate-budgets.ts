import { and, inArray, lt, sql } from 'drizzle-orm'
import type { Engine, PreparedStatement } from '../engine.ts'

/**
 * The shared state of one budget: remaining block in ms, its source, consecutive refusals, and
 * points used this hour.
 */
export interface RateBudgetRow {
  name: string
  waitMs: number
  owner: string
  consecutiveRefusals: number
  hour: number
  pointsUsed: number
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
  const preparedBySize = new Map<number, PreparedStatement>()
  const prepareSelect = (size: number): PreparedStatement => {
    const cached =
      preparedBySize.get(size) ??
      prepare(
        db
          .select({
            name: budgets.name,
            waitMs: sql<number>`${budgets.until} - (${nowPlus(0)})`.as('wait_ms'),
            owner: budgets.owner,
            consecutiveRefusals: budgets.consecutiveRefusals,
            hour: budgets.hour,
            pointsUsed: budgets.pointsUsed
          })
          .from(budgets)
          .where(
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
        waitMs: Number(row.wait_ms),
        owner: String(row.owner),
        consecutiveRefusals: Number(row.strikes),
        hour: Number(row.hour),
        pointsUsed: Number(row.used)
      }))
    },

    /** Blocks calls for this long, unless they are blocked for longer already. */
    async block(
      name: string,
      waitMs: number,
      owner: string,
      consecutiveRefusals: number
    ): Promise<void> {
      await write(() =>
        db
          .insert(budgets)
          .values({ name, until: nowPlus(waitMs), owner, consecutiveRefusals })
          .onConflictDoUpdate({
            target: budgets.name,
            set: { until: nowPlus(waitMs), owner, consecutiveRefusals },
            setWhere: sql`${budgets.until} <= ${nowPlus(waitMs)}`
          })
      )
    },

    /**
     * Adds points used this hour.
     *
     * @param minimumUsed a lower bound for the total, as reported by Atlassian
     * @returns the total of all instances
     */
    async addUsage(
      name: string,
      hour: number,
      points: number,
      minimumUsed: number
    ): Promise<number> {
      const [row] = await write(() =>
        db
          .insert(budgets)
          .values({ name, until: new Date(0), hour, pointsUsed: Math.max(points, minimumUsed) })
          .onConflictDoUpdate({
            target: budgets.name,
            set: {
              pointsUsed: nextUsedPoints(points, minimumUsed),
              hour: sql`case when ${budgets.hour} < ${excludedColumn(budgets.hour)}
                then ${excludedColumn(budgets.hour)} else ${budgets.hour} end`
            }
          })
          .returning({ pointsUsed: budgets.pointsUsed })
      )
      return row?.pointsUsed ?? points
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
