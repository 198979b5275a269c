import { is, Param, Placeholder } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { AppError } from '../lib/errors.ts'
import type { Database, Engine, RawRow, Statement, BindValue } from './engine.ts'

/**
 * One parameter of a compiled statement: a constant, a named value, or a column of one of several
 * rows, for which the placeholder is named `<index of the row>.<column>`.
 */
interface ParameterSlot {
  constant: unknown
  name: string | undefined
  row: number | undefined
  column: string
}

/** Compiles a statement once and returns how to bind its values. */
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

/** Both engines store times as milliseconds since the epoch. */
export function toDriverValue(value: unknown): unknown {
  return value instanceof Date ? value.getTime() : value
}

/** Implements `Engine.batch` on top of `transaction`. */
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

/** The number of migrations in a folder that are newer than `time`, in ms since the epoch. */
export function countMigrationsAfter(folder: string, time: number): number {
  return readMigrationFiles({ migrationsFolder: folder }).filter(
    ({ folderMillis }) => folderMillis > time
  ).length
}

/** The time of this version's newest migration, in milliseconds since the epoch. */
export function readLatestMigration(folder: string): number {
  return Math.max(
    ...readMigrationFiles({ migrationsFolder: folder }).map(({ folderMillis }) => folderMillis)
  )
}

/** The driver's code of an error, or of its cause. */
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
