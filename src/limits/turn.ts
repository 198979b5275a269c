/**
 * How long the event loop is busy already with the requests of its present turn. All that have arrived by then are worked off before it
 * looks at the sockets again: what is asked at the end of a long turn has waited as long, and makes the next turn wait.
 *
 * @returns a function that is called for each request, for milliseconds since the first of the same turn
 */
export function createTurn (): () => number {
  let begun: number | undefined
  return function lastedMs () {
    const now = performance.now()
    if (begun === undefined) {
      begun = now
      // Runs when the loop has worked off what had arrived.
      setImmediate(() => { begun = undefined })
    }
    return now - begun
  }
}
