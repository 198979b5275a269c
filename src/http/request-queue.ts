import { AsyncResource } from 'node:async_hooks'

/** Begins what has waited so many milliseconds for its turn, while so many others still wait for theirs. */
export type Begin = (ms: number, others: number) => void

/**
 * Begins one request in each turn of the event loop, in the order of coming. Without this, a turn works off all that has arrived; and as
 * libuv takes one new connection a turn, two a second would be taken while a thousand others ask as fast as they are answered.
 *
 * @returns a function that is called for each request; the one that finds nobody waiting begins at once
 */
export function createTurns(): (begin: Begin) => void {
  const line: Array<{ since: number; begin: Begin }> = []
  let taken = false

  function next(): void {
    const first = line.shift()
    taken = first !== undefined
    if (first === undefined) return
    setImmediate(next)
    first.begin(performance.now() - first.since, line.length)
  }

  return function take(begin) {
    if (taken) {
      // In its own context, not in that of whoever was before it.
      line.push({ since: performance.now(), begin: AsyncResource.bind(begin) })
      return
    }
    taken = true
    setImmediate(next)
    begin(0, 0)
  }
}
