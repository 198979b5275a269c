import type Driver from 'better-sqlite3'
import type { RawRow, Statement, TransactionScript } from '../engine.ts'

/** Marks a statement that `prepare` has compiled. */
const COMPILED_STATEMENT = Symbol('compiled')
/** Texts with lists have no end of different forms. */
const MAX_COMPILED_TEXTS = 500

/** Runs the statements of transactions on one database. */
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

    /** A statement that is compiled already, with the values to bind. */
    toStatement: (compiled: Driver.Statement, params: unknown[]): Statement =>
      Object.assign(
        { toSQL: () => ({ sql: compiled.source, params }) },
        { [COMPILED_STATEMENT]: compiled }
      )
  }
}
