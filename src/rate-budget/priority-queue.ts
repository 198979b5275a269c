import { AppError } from '../lib/errors.ts'

/** A concurrency limiter in which interactive calls go first. */
export interface PriorityQueue {
  /**
   * @param check runs when it is the caller's turn; what it throws ends the wait
   * @returns the function that releases the slot
   */
  acquire: (
    isInteractive: boolean,
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
 * @param getBlockedMs milliseconds for which calls are blocked from now; may be longer for
 *   background calls
 */
export function createPriorityQueue(
  maxConcurrent: number,
  getBlockedMs: (isInteractive: boolean) => number
): PriorityQueue {
  const queues: Record<'interactive' | 'background', QueueEntry[]> = {
    interactive: [],
    background: []
  }
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
    const blockedMs = { interactive: getBlockedMs(true), background: getBlockedMs(false) }
    const shiftUnblocked = (name: keyof typeof queues) =>
      blockedMs[name] > 0 ? undefined : queues[name].shift()
    while (runningCount < maxConcurrent) {
      const next = shiftUnblocked('interactive') ?? shiftUnblocked('background')
      if (next === undefined) break
      runningCount++
      next.start()
    }
    clearTimeout(timer)
    const delays = (['interactive', 'background'] as const)
      .filter((name) => blockedMs[name] > 0 && queues[name].length > 0)
      .map((name) => blockedMs[name])
    if (delays.length > 0) timer = setTimeout(drain, Math.min(...delays))
  }

  return {
    acquire: async (isInteractive, signal, check) =>
      await new Promise((resolve, reject) => {
        const queue = queues[isInteractive ? 'interactive' : 'background']
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
