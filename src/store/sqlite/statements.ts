import type Driver from 'better-sqlite3'
import type { BindValue, Engine, RawRow, Statement, TransactionScript } from '../engine.ts'
import { compileStatement } from '../prepared.ts'

/** Marks a statement that `prepare` has compiled. */
const COMPILED_STATEMENT = Symbol('compiled')
/** Texts with lists have no end of different forms. */
const MAX_COMPILED_TEXTS = 500

/** Prepares and runs the statements of one database. */
export function createStatementRunner(client: Driver.Database) {
  const compiledByText = new Map<string, Driver.Statement>()

  /** Compiling takes longer than running, so each text that a transaction builds is compiled once. */
  function compileOnce(text: string): Driver.Statement {
    const existing = compiledByText.get(text)
    if (existing !== undefined) return existing
    if (compiledByText.size >= MAX_COMPILED_TEXTS) compiledByText.clear()
    const compiled = client.prepare(text)
    compiledByText.set(text, compiled)
    return compiled
  }

  function runStatement(
    statement: Statement & { [COMPILED_STATEMENT]?: Driver.Statement }
  ): RawRow[] {
    const { sql, params } = statement.toSQL()
    const compiled = statement[COMPILED_STATEMENT] ?? compileOnce(sql)
    if (compiled.reader) return compiled.all(params) as RawRow[]
    compiled.run(params)
    return []
  }

  return {
    runStatement,

    runScript<T>(script: TransactionScript<T>): T {
      let next = script.next()
      while (next.done !== true) next = script.next(runStatement(next.value))
      return next.value
    },

    /** Prepares a statement by its first use: a start would wait for those of every route. */
    prepare(query: Parameters<Engine['prepare']>[0]): ReturnType<Engine['prepare']> {
      const compile = () => {
        const compiledQuery = compileStatement(query)
        return { ...compiledQuery, statement: client.prepare(compiledQuery.sql) }
      }
      let compiled: ReturnType<typeof compile> | undefined
      const getCompiled = () => (compiled ??= compile())
      const withParams = (params: unknown[]): Statement => {
        const { sql, statement } = getCompiled()
        return Object.assign(
          { toSQL: () => ({ sql, params }) },
          { [COMPILED_STATEMENT]: statement }
        )
      }
      return Object.assign(
        async (values: Record<string, BindValue>) => {
          const { statement, bind } = getCompiled()
          return statement.all(bind(values)) as RawRow[]
        },
        {
          bind: (values: Record<string, BindValue>) => withParams(getCompiled().bind(values)),
          bindRows: (rows: ReadonlyArray<Record<string, BindValue>>) =>
            withParams(getCompiled().bindRows(rows))
        }
      )
    }
  }
}
