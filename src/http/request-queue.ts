import { AsyncResource } from 'node:async_hooks'

/** Starts a request that waited `waitedMs` while `waitingCount` others still wait. */
export type RequestStart = (waitedMs: number, waitingCount: number) => void

/**
 * FIFO that starts one request per event-loop iteration. libuv accepts one connection per
 * iteration, so an iteration that handles everything that has arrived starves `accept()`: two new
 * connections per second under load of a thousand clients.
 *
 * @returns a function to call for each request; it starts the request at once if no other one waits
 */
export function createRequestQueue(): (start: RequestStart) => void {
  const queue: Array<{ queuedAt: number; start: RequestStart }> = []
  let isIterationTaken = false

  function startNext(): void {
    const first = queue.shift()
    isIterationTaken = first !== undefined
    if (first === undefined) return
    setImmediate(startNext)
    first.start(performance.now() - first.queuedAt, queue.length)
  }

  return function schedule(start) {
    if (isIterationTaken) {
      // Keeps the async context of this request.
      queue.push({ queuedAt: performance.now(), start: AsyncResource.bind(start) })
      return
    }
    isIterationTaken = true
    setImmediate(startNext)
    start(0, 0)
  }
}
