import { AsyncLocalStorage } from 'node:async_hooks'
import Driver from 'better-sqlite3'
import pg from 'pg'
import { assessPostgresPlan, assessSqlitePlan, type PlanAssessment } from './judge-plan.ts'

/** A statement that the store sent, with its plan. */
export interface CapturedStatement extends PlanAssessment {
  text: string
  ms: number
}

/** Statements without a plan. */
const CONTROL_STATEMENT = /^(begin|commit|rollback|savepoint|lock |set |select 1$)/i

interface CaptureContext {
  statements: CapturedStatement[]
  bigTables: ReadonlySet<string>
}
const captureContext = new AsyncLocalStorage<CaptureContext>()

/** Runs `action` and explains each statement of the store just before it runs, in the same transaction. */
export async function captureStatements(
  bigTables: ReadonlySet<string>,
  action: () => Promise<unknown>
): Promise<CapturedStatement[]> {
  const statements: CapturedStatement[] = []
  await captureContext.run({ statements, bigTables }, action)
  return statements
}

/** Wraps the driver's statements and explains each on a second connection to `file`. */
export function listenToSqlite(file: string): () => void {
  const planDatabase = new Driver(file, { readonly: true })
  const partialIndexes = new Set(
    planDatabase
      .prepare("select name from sqlite_master where type = 'index' and sql like '% where %'")
      .pluck()
      .all() as string[]
  )
  const prototype = Object.getPrototypeOf(planDatabase.prepare('select 1')) as Driver.Statement
  const { all, get, run } = prototype
  const wrapMethod = <T extends (...params: any[]) => unknown>(original: T) =>
    function (this: Driver.Statement, ...params: unknown[]) {
      const current = captureContext.getStore()
      if (current === undefined || CONTROL_STATEMENT.test(this.source)) {
        return original.apply(this, params)
      }
      const plan = captureContext.exit(() =>
        all.apply(planDatabase.prepare(`explain query plan ${this.source}`), params)
      ) as Array<{ detail: string }>
      const from = performance.now()
      const result = original.apply(this, params)
      const ms = performance.now() - from
      current.statements.push({
        text: this.source,
        ms,
        ...assessSqlitePlan(
          plan.map(({ detail }) => detail),
          current.bigTables,
          partialIndexes
        )
      })
      return result
    }
  Object.assign(prototype, { all: wrapMethod(all), get: wrapMethod(get), run: wrapMethod(run) })
  return () => {
    Object.assign(prototype, { all, get, run })
    planDatabase.close()
  }
}

/**
 * Wraps PostgreSQL's client: EXPLAIN ANALYZE runs each statement, and a rollback undoes it. A named
 * prepared statement is also explained with its generic plan, which the server may choose after
 * five executions, unless `plan_cache_mode` forbids it.
 */
export function listenToPostgres(): () => void {
  const prototype = pg.Client.prototype as unknown as { query: (...args: any[]) => any }
  const { query } = prototype
  const inTransaction = new WeakSet<object>()
  /** The latest statement of each client: those that are sent together are explained one by one. */
  const latest = new WeakMap<object, Promise<unknown>>()
  prototype.query = function (this: object, ...args: any[]) {
    const [config, values] = args
    const text: string = typeof config === 'string' ? config : config.text
    if (text.startsWith('begin')) inTransaction.add(this)
    if (/^(commit|rollback)$/.test(text)) inTransaction.delete(this)
    const current = captureContext.getStore()
    if (current === undefined || CONTROL_STATEMENT.test(text)) return query.apply(this, args)
    const previous = latest.get(this)
    const captured = (async () => {
      await previous?.catch(() => {})
      const isInTransaction = inTransaction.has(this)
      const execute = async (sql: string) => await query.call(this, sql)
      const params = (config.values ?? values ?? []) as unknown[]
      const explain = async (mode: string): Promise<CapturedStatement> => {
        await execute(isInTransaction ? 'savepoint explaining' : 'begin')
        await execute(`set local plan_cache_mode = ${mode}`)
        await execute(`prepare explained as ${text}`)
        const literals = params.length === 0 ? '' : `(${params.map(toSqlLiteral).join()})`
        const {
          rows: [row]
        } = await execute(`explain (analyze, buffers, format json) execute explained${literals}`)
        await execute('deallocate explained')
        await execute(isInTransaction ? 'rollback to savepoint explaining' : 'rollback')
        const [{ Plan: plan, 'Execution Time': ms }] = row['QUERY PLAN']
        return { text, ms, ...assessPostgresPlan(plan, current.bigTables) }
      }
      const customPlan = await explain('force_custom_plan')
      const {
        rows: [{ plan_cache_mode: mode }]
      } = await execute('show plan_cache_mode')
      const genericPlan =
        config.name === undefined || mode === 'force_custom_plan'
          ? undefined
          : await explain('force_generic_plan')
      current.statements.push(
        genericPlan !== undefined && genericPlan.problems.length > customPlan.problems.length
          ? { ...genericPlan, text: `(as prepared) ${text}` }
          : customPlan
      )
      return await query.apply(this, args)
    })()
    latest.set(this, captured)
    return captured
  }
  return () => {
    prototype.query = query
  }
}

function toSqlLiteral(value: unknown): string {
  return value === null || value === undefined ? 'null' : pg.escapeLiteral(String(value))
}
