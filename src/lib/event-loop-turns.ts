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

/**
 * Callers that may begin in one iteration, at most: those that begin at once do so before any of them
 * has taken time.
 */
const MAX_BEGUN = 64

/**
 * Bounds how long one kind of short work holds the event loop when very much of it comes at once: what
 * begins later than `maxMs` after the first waits for the next iteration, in the order of its arrival.
 *
 * @returns resolves when the caller may begin; at once while there is time
 */
export function createTurnBudget(maxMs: number): () => Promise<void> {
  const waiting: Array<() => void> = []
  let isOpen = false
  let endsAt = 0
  let begunCount = 0

  function open(): void {
    isOpen = true
    endsAt = performance.now() + maxMs
    begunCount = 0
  }

  function close(): void {
    isOpen = waiting.length > 0
    if (!isOpen) return
    // Immediates run one after another in the next iteration, each with its promise jobs.
    setImmediate(open)
    const count = Math.min(waiting.length, MAX_BEGUN)
    for (let i = 0; i < count; i++) setImmediate(beginNext)
    setImmediate(close)
  }

  const hasTime = () => begunCount++ < MAX_BEGUN && performance.now() < endsAt

  function beginNext(): void {
    if (hasTime()) waiting.shift()?.()
  }

  return async () => {
    if (!isOpen) {
      open()
      setImmediate(close)
    }
    if (waiting.length === 0 && hasTime()) return
    await new Promise<void>((resolve) => waiting.push(resolve))
  }
}
