import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from './errors.ts'

/**
 * Repeats an operation that failed.
 *
 * @param getDelayMs returns how long to wait after an error, in ms; throws to give up
 * @param signal ends a wait
 * @throws what `getDelayMs` throws; AppError `interrupted` if `signal` ends a wait
 */
export async function retry<T>(
  operation: () => PromiseLike<T>,
  getDelayMs: (error: unknown) => number,
  signal?: AbortSignal
): Promise<T> {
  while (true) {
    try {
      return await operation()
    } catch (error) {
      const delayMs = getDelayMs(error)
      if (delayMs > 0) await wait(delayMs, signal)
    }
  }
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
  return await retry(operation, (error) => {
    if (!isTransientDatabaseError(error) || performance.now() > deadline) throw error
    return intervalMs
  })
}

/**
 * Repeats an update at once if a concurrent writer prevented it: it reads again and decides
 * again (optimistic locking).
 *
 * @param update returns undefined if the row has changed since it was read
 * @returns undefined if every attempt met a concurrent writer
 */
export async function retryOnConflict<T>(
  update: () => Promise<T | undefined>,
  maxAttempts: number
): Promise<T | undefined> {
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const result = await update()
    if (result !== undefined) return result
  }
  return undefined
}

/** Whether the database was busy or unavailable, so that a retry may succeed. */
export function isTransientDatabaseError(error: unknown): boolean {
  return error instanceof AppError && error.code.startsWith('database_')
}

async function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(ms, undefined, signal === undefined ? {} : { signal })
  } catch (cause) {
    throw new AppError('interrupted', 'The service is stopping.', { cause })
  }
}
