import { AsyncResource } from 'node:async_hooks'

/** Begins what has waited so many milliseconds for its turn, while so many others still wait for theirs. */
export type RequestStart = (waitedMs: number, waitingCount: number) => void

/**
 * Begins one request in each turn of the event loop, in the order of coming. Without this, a turn works off all that has arrived; and as
 * libuv takes one new connection a turn, two a second would be taken while a thousand others ask as fast as they are answered.
 *
 * @returns a function that is called for each request; the one that finds nobody waiting begins at once
 */
export function createRequestQueue(): (start: RequestStart) => void {
  const queue: Array<{ queuedAt: number; start: RequestStart }> = []
  let isTurnTaken = false

  function startNext(): void {
    const first = queue.shift()
    isTurnTaken = first !== undefined
    if (first === undefined) return
    setImmediate(startNext)
    first.start(performance.now() - first.queuedAt, queue.length)
  }

  return function schedule(start) {
    if (isTurnTaken) {
      // In its own context, not in that of whoever was before it.
      queue.push({ queuedAt: performance.now(), start: AsyncResource.bind(start) })
      return
    }
    isTurnTaken = true
    setImmediate(startNext)
    start(0, 0)
  }
}
