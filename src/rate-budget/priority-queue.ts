import { AppError } from '../lib/errors.ts'
import type { CallClass } from './target.ts'

/** A concurrency limiter in which interactive calls go first, and bulk calls last. */
export interface PriorityQueue {
  /**
   * @param check runs when it is the caller's turn; what it throws ends the wait
   * @returns the function that releases the slot
   */
  acquire: (
    callClass: CallClass,
    signal: AbortSignal | undefined,
    check: () => void
  ) => Promise<() => void>
}

interface QueueEntry {
  start: () => void
  check: () => void
  reject: (error: Error) => void
}

/**
 * @param maxConcurrent number of slots
 * @param getBlockedMs milliseconds for which calls of a class are blocked from now
 */
export function createPriorityQueue(
  maxConcurrent: number,
  getBlockedMs: (callClass: CallClass) => number
): PriorityQueue {
  const queues: Record<CallClass, QueueEntry[]> = { interactive: [], routine: [], bulk: [] }
  const classes = Object.keys(queues) as CallClass[]
  let runningCount = 0
  let timer: NodeJS.Timeout | undefined

  /**
   * Starts queued calls up to the limit; while blocked, only rejects calls whose wait would
   * exceed their maximum.
   */
  function drain(): void {
    for (const queue of Object.values(queues)) {
      for (const queued of [...queue]) {
        try {
          queued.check()
        } catch (error) {
          queue.splice(queue.indexOf(queued), 1)
          queued.reject(error as Error)
        }
      }
    }
    const unblocked = classes.filter((name) => getBlockedMs(name) <= 0)
    while (runningCount < maxConcurrent) {
      const next = unblocked.find((name) => queues[name].length > 0)
      if (next === undefined) break
      runningCount++
      queues[next].shift()?.start()
    }
    clearTimeout(timer)
    const delays = classes
      .filter((name) => !unblocked.includes(name) && queues[name].length > 0)
      .map(getBlockedMs)
    if (delays.length > 0) timer = setTimeout(drain, Math.min(...delays))
  }

  return {
    acquire: async (callClass, signal, check) =>
      await new Promise((resolve, reject) => {
        const queue = queues[callClass]
        const onAbort = () => {
          queue.splice(queue.indexOf(entry), 1)
          reject(new AppError('interrupted', 'The service is stopping.', { cause: signal?.reason }))
          drain()
        }
        const release = () => {
          runningCount--
          drain()
        }
        const entry: QueueEntry = {
          check,
          start: () => {
            signal?.removeEventListener('abort', onAbort)
            resolve(release)
          },
          reject: (error) => {
            signal?.removeEventListener('abort', onAbort)
            reject(error)
          }
        }
        if (signal?.aborted === true) {
          reject(new AppError('interrupted', 'The service is stopping.', { cause: signal.reason }))
          return
        }
        queue.push(entry)
        signal?.addEventListener('abort', onAbort, { once: true })
        drain()
      })
  }
}
