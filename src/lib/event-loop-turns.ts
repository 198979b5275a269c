/**
 * Iterations of the event loop between two turns, so that short work comes between them: libuv accepts
 * one connection per iteration. Without other work they take a few microseconds.
 */
const ITERATIONS_BETWEEN_TURNS = 16
/** A busy event loop gives the next turn after this time, so that long work goes on under load. */
const MAX_PAUSE_MS = 5

const waiting: Array<() => void> = []

/**
 * Lets long work on the event loop take turns: of everything that waits here, one continues after
 * some iterations, in the order of its arrival.
 *
 * @param start called when it is its turn
 */
export function runInTurn(start: () => void): void {
  waiting.push(start)
  if (waiting.length === 1) pause(ITERATIONS_BETWEEN_TURNS, performance.now())
}

/** Resolves when it is the caller's turn (`runInTurn`). */
export async function waitForTurn(): Promise<void> {
  await new Promise<void>(runInTurn)
}

function pause(iterations: number, startedAt: number): void {
  setImmediate(() => {
    if (iterations <= 1 || performance.now() - startedAt > MAX_PAUSE_MS) startNext()
    else pause(iterations - 1, startedAt)
  })
}

function startNext(): void {
  const next = waiting.shift()
  if (waiting.length > 0) pause(ITERATIONS_BETWEEN_TURNS, performance.now())
  next?.()
}
