import { AsyncLocalStorage } from 'node:async_hooks'
import Driver from 'better-sqlite3'
import pg from 'pg'
import { judgePostgres, judgeSqlite, type Verdict } from './judge-plan.ts'

/** One statement that the store has really sent, and how the engine goes about it. */
export interface Seen extends Verdict {
  text: string
  ms: number
}

const CONTROL = /^(begin|commit|rollback|savepoint|select 1$)/i

interface Recording {
  seen: Seen[]
  big: ReadonlySet<string>
}
const recording = new AsyncLocalStorage<Recording>()

/** Runs something of the store, and has every statement that it sends explained just before it runs, in the same transaction. */
export async function recorded(
  big: ReadonlySet<string>,
  ask: () => Promise<unknown>
): Promise<Seen[]> {
  const seen: Seen[] = []
  await recording.run({ seen, big }, ask)
  return seen
}

/** The driver's statements tell what they are asked; `file` is asked how it would be done. */
export function listenToSqlite(file: string): () => void {
  const beside = new Driver(file, { readonly: true })
  const partial = new Set(
    beside
      .prepare("select name from sqlite_master where type = 'index' and sql like '% where %'")
      .pluck()
      .all() as string[]
  )
  const prototype = Object.getPrototypeOf(beside.prepare('select 1')) as Driver.Statement
  const { all, get, run } = prototype
  const listening = <T extends (...params: any[]) => unknown>(original: T) =>
    function (this: Driver.Statement, ...params: unknown[]) {
      const current = recording.getStore()
      if (current === undefined || CONTROL.test(this.source)) return original.apply(this, params)
      const plan = recording.exit(() =>
        all.apply(beside.prepare(`explain query plan ${this.source}`), params)
      ) as Array<{ detail: string }>
      const from = performance.now()
      const result = original.apply(this, params)
      const ms = performance.now() - from
      current.seen.push({
        text: this.source,
        ms,
        ...judgeSqlite(
          plan.map(({ detail }) => detail),
          current.big,
          partial
        )
      })
      return result
    }
  Object.assign(prototype, { all: listening(all), get: listening(get), run: listening(run) })
  return () => {
    Object.assign(prototype, { all, get, run })
    beside.close()
  }
}

/**
 * The same for PostgreSQL: explained by running it, which is taken back. What is prepared under a name is explained
 * the general way too, which the server may go after five times, unless its connections say that it may not.
 */
export function listenToPostgres(): () => void {
  const prototype = pg.Client.prototype as unknown as { query: (...asked: any[]) => any }
  const { query } = prototype
  const inTransaction = new WeakSet<object>()
  prototype.query = function (this: object, ...asked: any[]) {
    const [config, values] = asked
    const text: string = typeof config === 'string' ? config : config.text
    if (text.startsWith('begin')) inTransaction.add(this)
    if (/^(commit|rollback)$/.test(text)) inTransaction.delete(this)
    const current = recording.getStore()
    if (current === undefined || CONTROL.test(text)) return query.apply(this, asked)
    return (async () => {
      const inside = inTransaction.has(this)
      const tell = async (sql: string) => await query.call(this, sql)
      const params = (config.values ?? values ?? []) as unknown[]
      const explain = async (mode: string): Promise<Seen> => {
        await tell(inside ? 'savepoint explaining' : 'begin')
        await tell(`set local plan_cache_mode = ${mode}`)
        await tell(`prepare explained as ${text}`)
        const {
          rows: [row]
        } = await tell(
          `explain (analyze, buffers, format json) execute explained${params.length === 0 ? '' : `(${params.map(literal).join()})`}`
        )
        await tell('deallocate explained')
        await tell(inside ? 'rollback to savepoint explaining' : 'rollback')
        const [{ Plan: plan, 'Execution Time': ms }] = row['QUERY PLAN']
        return { text, ms, ...judgePostgres(plan, current.big) }
      }
      const custom = await explain('force_custom_plan')
      const {
        rows: [{ plan_cache_mode: mode }]
      } = await tell('show plan_cache_mode')
      const general =
        config.name === undefined || mode === 'force_custom_plan'
          ? undefined
          : await explain('force_generic_plan')
      current.seen.push(
        general !== undefined && general.problems.length > custom.problems.length
          ? { ...general, text: `(as prepared) ${text}` }
          : custom
      )
      return await query.apply(this, asked)
    })()
  }
  return () => {
    prototype.query = query
  }
}

function literal(value: unknown): string {
  return value === null || value === undefined ? 'null' : pg.escapeLiteral(String(value))
}
