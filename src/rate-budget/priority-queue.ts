import { AppError } from '../lib/errors.ts'

/** Lets so many through at once, and those who are waited for first. */
export interface Gate {
  /**
   * @param check looks again when the turn has come; what it throws ends the waiting
   * @returns what to call at the end
   */
  enter: (
    interactive: boolean,
    signal: AbortSignal | undefined,
    check: () => void
  ) => Promise<() => void>
}

interface Waiting {
  go: () => void
  check: () => void
  fail: (error: Error) => void
}

/**
 * @param atOnce how many may be inside
 * @param closedMs how long the gate is closed from now on, in milliseconds, which may be longer for what nobody waits for
 */
export function createGate(atOnce: number, closedMs: (interactive: boolean) => number): Gate {
  const waiting: Record<'interactive' | 'background', Waiting[]> = {
    interactive: [],
    background: []
  }
  let inside = 0
  let timer: NodeJS.Timeout | undefined

  /** Whoever may, goes; while the gate is closed only those leave who would have to wait for too long. */
  function advance(): void {
    for (const queue of Object.values(waiting)) {
      for (const each of [...queue]) {
        try {
          each.check()
        } catch (error) {
          queue.splice(queue.indexOf(each), 1)
          each.fail(error as Error)
        }
      }
    }
    const closed = { interactive: closedMs(true), background: closedMs(false) }
    const first = (name: keyof typeof waiting) =>
      closed[name] > 0 ? undefined : waiting[name].shift()
    while (inside < atOnce) {
      const next = first('interactive') ?? first('background')
      if (next === undefined) break
      inside++
      next.go()
    }
    clearTimeout(timer)
    const waits = (['interactive', 'background'] as const)
      .filter((name) => closed[name] > 0 && waiting[name].length > 0)
      .map((name) => closed[name])
    if (waits.length > 0) timer = setTimeout(advance, Math.min(...waits))
  }

  return {
    enter: async (interactive, signal, check) =>
      await new Promise((resolve, reject) => {
        const queue = waiting[interactive ? 'interactive' : 'background']
        const stopped = () => {
          queue.splice(queue.indexOf(entry), 1)
          reject(new AppError('interrupted', 'The service is stopping.', { cause: signal?.reason }))
          advance()
        }
        const leave = () => {
          inside--
          advance()
        }
        const entry: Waiting = {
          check,
          go: () => {
            signal?.removeEventListener('abort', stopped)
            resolve(leave)
          },
          fail: (error) => {
            signal?.removeEventListener('abort', stopped)
            reject(error)
          }
        }
        if (signal?.aborted === true) {
          reject(new AppError('interrupted', 'The service is stopping.', { cause: signal.reason }))
          return
        }
        queue.push(entry)
        signal?.addEventListener('abort', stopped, { once: true })
        advance()
      })
  }
}
