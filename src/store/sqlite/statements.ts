import type Driver from 'better-sqlite3'
import type { BindValue, Engine, RawRow, Statement } from '../engine.ts'
import { compileStatement } from '../prepared.ts'

/** Marks a statement that is already compiled. */
const COMPILED_STATEMENT = Symbol('compiled')

/** Prepares a statement by its first use: a start would wait for those of every route. */
export function prepareOnUse(
  client: Driver.Database,
  query: Parameters<Engine['prepare']>[0]
): ReturnType<Engine['prepare']> {
  const compile = () => {
    const compiledQuery = compileStatement(query)
    return { ...compiledQuery, statement: client.prepare(compiledQuery.sql) }
  }
  let compiled: ReturnType<typeof compile> | undefined
  const getCompiled = () => (compiled ??= compile())
  const withParams = (params: unknown[]): Statement => {
    const { sql, statement } = getCompiled()
    return Object.assign({ toSQL: () => ({ sql, params }) }, { [COMPILED_STATEMENT]: statement })
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

/** Runs a statement, prepared or not; returns the rows of one that reads. */
export function runStatement(
  client: Driver.Database,
  statement: Statement & { [COMPILED_STATEMENT]?: Driver.Statement }
): RawRow[] {
  const { sql, params } = statement.toSQL()
  const compiled = statement[COMPILED_STATEMENT] ?? client.prepare(sql)
  if (compiled.reader) return compiled.all(params) as RawRow[]
  compiled.run(params)
  return []
}
