import { and, inArray, lt, sql } from 'drizzle-orm'
import type { Engine, Prepared } from '../engine.ts'

/** What is known of one name: how long nobody calls there, in milliseconds from now, who has said so, and how often in a row; points of an hour. */
export interface BudgetRow {
  name: string
  waitMs: number
  owner: string
  strikes: number
  hour: number
  used: number
}

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

/** What all instances have to know of each other before they call Atlassian. Times are the database's own. */
export function budgets({ db, tables: { budgets }, write, prepare, after }: Engine) {
  const looks = new Map<number, Prepared>()
  const look = (size: number): Prepared => {
    const known =
      looks.get(size) ??
      prepare(
        db
          .select({
            name: budgets.name,
            waitMs: sql<number>`${budgets.until} - (${after(0)})`.as('wait_ms'),
            owner: budgets.owner,
            strikes: budgets.strikes,
            hour: budgets.hour,
            used: budgets.used
          })
          .from(budgets)
          .where(
            inArray(
              budgets.name,
              Array.from({ length: size }, (_, i) => sql.placeholder(`name ${i}`) as never)
            )
          )
      )
    looks.set(size, known)
    return known
  }
  const fresh = (column: { name: string }) => sql.raw(`excluded."${column.name}"`)
  const spent = (added: number, floor: number) => {
    const sum = sql`(case when ${budgets.hour} < ${fresh(budgets.hour)} then 0 else ${budgets.used} end) + ${added}`
    return sql`case when ${sum} > ${floor} then ${sum} else ${floor} end`
  }

  return {
    async look(names: readonly string[]): Promise<BudgetRow[]> {
      const rows = await look(names.length)(
        Object.fromEntries(names.map((name, i) => [`name ${i}`, name]))
      )
      return rows.map((row) => ({
        name: String(row.name),
        waitMs: Number(row.wait_ms),
        owner: String(row.owner),
        strikes: Number(row.strikes),
        hour: Number(row.hour),
        used: Number(row.used)
      }))
    },

    /** Nobody calls there for so long, unless somebody has asked for longer already. */
    async block(name: string, waitMs: number, owner: string, strikes: number): Promise<void> {
      await write(() =>
        db
          .insert(budgets)
          .values({ name, until: after(waitMs), owner, strikes })
          .onConflictDoUpdate({
            target: budgets.name,
            set: { until: after(waitMs), owner, strikes },
            setWhere: sql`${budgets.until} <= ${after(waitMs)}`
          })
      )
    },

    /**
     * Counts points that were spent in an hour.
     *
     * @param floor as many have been spent at least, whoever did
     * @returns how many all instances have spent
     */
    async spend(name: string, hour: number, added: number, floor: number): Promise<number> {
      const [row] = await write(() =>
        db
          .insert(budgets)
          .values({ name, until: new Date(0), hour, used: Math.max(added, floor) })
          .onConflictDoUpdate({
            target: budgets.name,
            set: {
              used: spent(added, floor),
              hour: sql`case when ${budgets.hour} < ${fresh(budgets.hour)} then ${fresh(budgets.hour)} else ${budgets.hour} end`
            }
          })
          .returning({ used: budgets.used })
      )
      return row?.used ?? added
    },

    /** Forgets what has been over for a day. */
    async purge(now: number): Promise<void> {
      await write(() =>
        db
          .delete(budgets)
          .where(
            and(
              lt(budgets.until, after(-DAY_MS)),
              lt(budgets.hour, Math.floor((now - DAY_MS) / HOUR_MS))
            )
          )
      )
    }
  }
}

export type Budgets = ReturnType<typeof budgets>
