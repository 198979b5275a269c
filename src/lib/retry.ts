import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from './errors.ts'

/** Whether the database was busy or unavailable, so that a retry may succeed. */
export function isTransientDatabaseError(error: unknown): boolean {
  return error instanceof AppError && error.code.startsWith('database_')
}

/**
 * Does something again while the database is busy or away: for what is lost if it is not written.
 *
 * @param deadline on the clock of `performance.now()`; the last try begins before it
 * @throws what the last try threw
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
