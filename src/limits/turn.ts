/**
 * How busy the event loop is with the requests of its present turn. All that have arrived by then are worked off before it looks at the
 * sockets again: what is asked at the end of a long turn has waited as long, and makes the next turn wait.
 *
 * @returns a function that is called for each request: milliseconds since the first of the same turn, and how many came before in it
 */
export function createTurn (): () => { ms: number, before: number } {
  let begun = 0
  let before = -1
  return function look () {
    const now = performance.now()
    if (before < 0) {
      begun = now
      // Runs when the loop has worked off what had arrived.
      setImmediate(() => { before = -1 })
    }
    before++
    return { ms: now - begun, before }
  }
}
