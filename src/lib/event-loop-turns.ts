const waiting: Array<() => void> = []

/**
 * Lets long work on the event loop take turns: of everything that waits here, one continues in each
 * iteration, in the order of its arrival.
 *
 * @param start called in the next iteration if nothing else waits
 */
export function runInTurn(start: () => void): void {
  waiting.push(start)
  if (waiting.length === 1) setImmediate(startNext)
}

/** Resolves when it is the caller's turn (`runInTurn`). */
export async function waitForTurn(): Promise<void> {
  await new Promise<void>(runInTurn)
}

function startNext(): void {
  const next = waiting.shift()
  if (waiting.length > 0) setImmediate(startNext)
  next?.()
}
