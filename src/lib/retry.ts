import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from './errors.ts'

/** Whether the database was busy or unavailable, so that a retry may succeed. */
export function isTransientDatabaseError(error: unknown): boolean {
  return error instanceof AppError && error.code.startsWith('database_')
}

/**
 * Retries at a fixed interval while the database is busy or unavailable, for writes that must
 * not be lost.
 *
 * @param deadline on the clock of `performance.now()`; an attempt that fails after it is the
 *   last
 * @throws the error of the last attempt
 */
export async function retryUntil<T>(
  operation: () => Promise<T>,
  deadline: number,
  intervalMs: number
): Promise<T> {
  while (true) {
    try {
      return await operation()
    } catch (error) {
      if (!isTransientDatabaseError(error) || performance.now() > deadline) throw error
      await sleep(intervalMs)
    }
  }
}
