import { is, Param, Placeholder } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { AppError } from '../lib/errors.ts'
import type { Database, Engine, RawRow, Statement, BindValue } from './engine.ts'

/** What goes into one place of a prepared statement: a constant, a value by its name, or one of a row by its number and column. */
interface ParameterSlot {
  constant: unknown
  name: string | undefined
  row: number | undefined
  column: string
}

/** A statement that is rendered already, and how its values are filled in. */
export function compileStatement(query: Statement) {
  const { sql, params } = query.toSQL()
  const slots = params.map(toParameterSlot)
  return {
    sql,
    bind: (values: Record<string, BindValue>) =>
      slots.map(({ name, constant }) =>
        name === undefined ? constant : toDriverValue(values[name])
      ),
    bindRows: (rows: ReadonlyArray<Record<string, BindValue>>) =>
      slots.map(({ row, column, constant }) =>
        row === undefined ? constant : toDriverValue(rows[row]?.[column])
      )
  }
}

function toParameterSlot(param: unknown): ParameterSlot {
  const placeholder = is(param, Placeholder)
    ? param
    : is(param, Param) && is(param.value, Placeholder)
      ? param.value
      : undefined
  const [, row, column = ''] = /^(\d+)\.(.*)$/.exec(placeholder?.name ?? '') ?? []
  return {
    constant: param,
    name: placeholder?.name,
    row: row === undefined ? undefined : Number(row),
    column
  }
}

/** Both engines keep moments as milliseconds. */
export function toDriverValue(value: unknown): unknown {
  return value instanceof Date ? value.getTime() : value
}

/** `Engine.batch`, by way of `transaction`. */
export function createBatch(transaction: Engine['transaction']): Engine['batch'] {
  return (async (
    statements: (db: Database) => Statement[],
    precondition?: (db: Database) => Statement
  ) =>
    await transaction(function* (db) {
      if (precondition !== undefined && (yield precondition(db)).length === 0) return undefined
      const results: RawRow[][] = []
      for (const statement of statements(db)) results.push(yield statement)
      return results
    })) as Engine['batch']
}

/** The moment of the newest migration of this version. */
export function readLatestMigration(folder: string): number {
  return Math.max(
    ...readMigrationFiles({ migrationsFolder: folder }).map(({ folderMillis }) => folderMillis)
  )
}

/** The driver's code of an error, or of what caused it. */
export function getDriverErrorCode(error: unknown): string | undefined {
  const candidates = [error, (error as { cause?: unknown } | null)?.cause]
  return candidates
    .map((e) => (e as { code?: unknown } | null)?.code)
    .find((code) => typeof code === 'string') as string | undefined
}

export function createBusyError(cause: unknown): AppError {
  return new AppError('database_busy', 'The database is busy. Try again in a second.', {
    cause,
    retryAfterS: 1
  })
}
