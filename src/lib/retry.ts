import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from './errors.ts'

/** Whether the database was busy or away: what was wanted of it may be had a moment later. */
export function isOfDatabase(error: unknown): boolean {
  return error instanceof AppError && error.code.startsWith('database_')
}

/**
 * Does something again while the database is busy or away: for what is lost if it is not written.
 *
 * @param until on the clock of `performance.now()`; the last try begins before it
 * @throws what the last try threw
 */
export async function retryUntil<T>(
  work: () => Promise<T>,
  until: number,
  everyMs: number
): Promise<T> {
  while (true) {
    try {
      return await work()
    } catch (error) {
      if (!isOfDatabase(error) || performance.now() > until) throw error
      await sleep(everyMs)
    }
  }
}
