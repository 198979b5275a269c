import { is, Param, Placeholder } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { AppError } from '../lib/errors.ts'
import type { Database, Engine, RawRow, Statement, Value } from './engine.ts'

/** What goes into one place of a prepared statement: a constant, a value by its name, or one of a row by its number and column. */
interface Slot {
  constant: unknown
  name: string | undefined
  row: number | undefined
  column: string
}

/** A statement that is rendered already, and how its values are filled in. */
export function rendered(query: Statement) {
  const { sql, params } = query.toSQL()
  const slots = params.map(slotOf)
  return {
    sql,
    fill: (values: Record<string, Value>) =>
      slots.map(({ name, constant }) =>
        name === undefined ? constant : driverValue(values[name])
      ),
    fillRows: (rows: ReadonlyArray<Record<string, Value>>) =>
      slots.map(({ row, column, constant }) =>
        row === undefined ? constant : driverValue(rows[row]?.[column])
      )
  }
}

function slotOf(param: unknown): Slot {
  const holder = is(param, Placeholder)
    ? param
    : is(param, Param) && is(param.value, Placeholder)
      ? param.value
      : undefined
  const [, row, column = ''] = /^(\d+)\.(.*)$/.exec(holder?.name ?? '') ?? []
  return {
    constant: param,
    name: holder?.name,
    row: row === undefined ? undefined : Number(row),
    column
  }
}

/** Both engines keep moments as milliseconds. */
export function driverValue(value: unknown): unknown {
  return value instanceof Date ? value.getTime() : value
}

/** `Engine.atomically`, by way of `inSteps`. */
export function atomicallyBy(inSteps: Engine['inSteps']): Engine['atomically'] {
  return (async (statements: (db: Database) => Statement[], given?: (db: Database) => Statement) =>
    await inSteps(function* (db) {
      if (given !== undefined && (yield given(db)).length === 0) return undefined
      const results: RawRow[][] = []
      for (const statement of statements(db)) results.push(yield statement)
      return results
    })) as Engine['atomically']
}

/** The moment of the newest migration of this version. */
export function newestMigration(folder: string): number {
  return Math.max(
    ...readMigrationFiles({ migrationsFolder: folder }).map(({ folderMillis }) => folderMillis)
  )
}

/** The driver's code of an error, or of what caused it. */
export function driverCode(error: unknown): string | undefined {
  const candidates = [error, (error as { cause?: unknown } | null)?.cause]
  return candidates
    .map((e) => (e as { code?: unknown } | null)?.code)
    .find((code) => typeof code === 'string') as string | undefined
}

export function busy(cause: unknown): AppError {
  return new AppError('database_busy', 'The database is busy. Try again in a second.', {
    cause,
    retryAfterS: 1
  })
}
