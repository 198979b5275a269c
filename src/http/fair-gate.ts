import { AppError } from '../lib/errors.ts'
import { runInTurn } from '../lib/event-loop-turns.ts'

/** Reads may block the event loop: after one of this duration everything else has its turn. */
const LONG_READ_MS = 2

interface GateOptions {
  /** Reads that run at once. */
  maxRunning: number
  /** Reads of one person that may wait; further ones are refused. */
  maxWaiting: number
}

interface Person {
  running: number
  waiting: Array<() => void>
}

/**
 * Lets expensive reads run a few at a time. People take turns, however many reads each of them asks
 * for: the next read is of the person with the fewest running ones, then of the one who was served
 * longest ago.
 */
export function createFairGate({ maxRunning, maxWaiting }: GateOptions) {
  /** In the order in which they were served last. */
  const people = new Map<number, Person>()
  let runningCount = 0

  function startNext(): void {
    const candidates = [...people].filter(([, { waiting }]) => waiting.length > 0)
    const [next] = candidates.sort(([, a], [, b]) => a.running - b.running)
    if (next === undefined || runningCount >= maxRunning) return
    const [id, person] = next
    people.delete(id)
    people.set(id, person)
    runningCount++
    person.running++
    person.waiting.shift()?.()
  }

  function endOne(id: number, person: Person, isLong: boolean): void {
    runningCount--
    person.running--
    if (person.running === 0 && person.waiting.length === 0) people.delete(id)
    if (isLong && people.size > 0) runInTurn(startNext)
    else startNext()
  }

  /**
   * Runs a read when it is its person's turn.
   *
   * @param id the person whose data is read
   * @param hasStarted whether the read continues a document, which cannot be refused any more
   * @throws AppError `too_many_requests` if too many reads of the person wait
   */
  return async function readInTurn<Result>(
    id: number,
    read: () => Promise<Result>,
    hasStarted = false
  ): Promise<Result> {
    const person = people.get(id) ?? { running: 0, waiting: [] }
    people.set(id, person)
    if (person.waiting.length >= maxWaiting && !hasStarted) {
      throw new AppError('too_many_requests', 'Too many reads of this user wait. Retry later.', {
        retryAfterS: 1
      })
    }
    await new Promise<void>((resolve) => {
      person.waiting.push(resolve)
      startNext()
    })
    const startedAt = performance.now()
    try {
      return await read()
    } finally {
      endOne(id, person, performance.now() - startedAt > LONG_READ_MS)
    }
  }
}

export type ReadInTurn = ReturnType<typeof createFairGate>

/** Reads each piece of a document when it is its person's turn. */
export async function* takeTurns<Piece>(
  pieces: AsyncGenerator<Piece>,
  readInTurn: ReadInTurn,
  id: number
): AsyncGenerator<Piece> {
  try {
    while (true) {
      const { done, value } = await readInTurn(id, async () => await pieces.next(), true)
      if (done === true) return
      yield value
    }
  } finally {
    await pieces.return(undefined)
  }
}

/**
 * Counts the long responses of each person.
 *
 * @returns opens one; its result closes it. Throws AppError `too_many_requests` at the maximum
 */
export function createOpenCounter(maxOpen: number, refusal: string) {
  const counts = new Map<number, number>()
  return function open(id: number): () => void {
    const count = counts.get(id) ?? 0
    if (count >= maxOpen) throw new AppError('too_many_requests', refusal, { retryAfterS: 1 })
    counts.set(id, count + 1)
    return () => {
      const rest = (counts.get(id) ?? 1) - 1
      if (rest === 0) counts.delete(id)
      else counts.set(id, rest)
    }
  }
}
