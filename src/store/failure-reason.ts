import { AppError } from '../lib/errors.ts'
import { getDriverErrorCode } from './prepared.ts'

/** The code of an error for an answer that did not come in time. */
export const TIMEOUT_CODE = 'TIMEOUT'

/**
 * Why the database cannot be used, in a word that is safe to show: no path, no SQL, no text of a
 * driver. The codes are SQLite's (https://sqlite.org/rescode.html) and PostgreSQL's
 * (https://www.postgresql.org/docs/current/errcodes-appendix.html).
 */
const REASONS = [
  [/^TIMEOUT$/, 'timeout'],
  [/^FILE_REPLACED$|^SQLITE_READONLY_DBMOVED/, 'file_replaced'],
  [/^(SQLITE_FULL|53100)/, 'disk_full'],
  [/^(SQLITE_READONLY|25006)/, 'read_only'],
  [/^(SQLITE_CORRUPT|SQLITE_NOTADB|XX001|XX002)/, 'damaged'],
  [/^(SQLITE_IOERR|58030)/, 'io_error'],
  [/^(SQLITE_CANTOPEN|SQLITE_PERM|SQLITE_AUTH|42501|28)/, 'permission_denied'],
  [/^(SQLITE_ERROR|42P01|42703|3F000)/, 'missing_table'],
  [/^(26000|42P05)/, 'prepared_statements_broken'],
  [/^53300/, 'too_many_connections'],
  [/^(SQLITE_BUSY|55P03|57014|40001|40P01)/, 'busy'],
  [/^(08|57P0)|^E[A-Z]+$/, 'unreachable']
] as const

export type FailureReason = (typeof REASONS)[number][1] | 'error'

/** Says in a word why an operation on the database failed. */
export function describeFailure(error: unknown): FailureReason {
  const cause = error instanceof AppError ? (error.cause ?? error) : error
  const code = cause instanceof AppError ? '' : (getDriverErrorCode(cause) ?? '')
  const [, reason] = REASONS.find(([pattern]) => pattern.test(code)) ?? []
  if (reason !== undefined) return reason
  if (!(error instanceof AppError)) return 'error'
  return error.code === 'database_busy' ? 'busy' : 'unreachable'
}
