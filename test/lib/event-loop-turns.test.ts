import t from 'tap'
import { createTurnBudget } from '../../src/lib/event-loop-turns.ts'

const MAX_MS = 5

/** Works for a millisecond. */
function work(): void {
  const endsAt = performance.now() + 1
  while (performance.now() < endsAt);
}

t.test(
  'Work that comes at once is spread over iterations, in the order of its arrival',
  async (t) => {
    const waitToBegin = createTurnBudget(MAX_MS)
    const order: number[] = []
    let begunInIteration = 0
    let mostAfterFirst = 0
    let iterations = 0
    let isDone = false
    const countIteration = () => {
      if (iterations > 0) mostAfterFirst = Math.max(mostAfterFirst, begunInIteration)
      begunInIteration = 0
      iterations++
      if (!isDone) setImmediate(countIteration)
    }
    setImmediate(countIteration)
    await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        await waitToBegin()
        order.push(i)
        begunInIteration++
        work()
        // What follows in promise jobs counts as well.
        await Promise.resolve()
      })
    )
    isDone = true
    t.same(
      order,
      [...order].sort((a, b) => a - b),
      'in order'
    )
    t.equal(order.length, 200)
    t.ok(mostAfterFirst <= MAX_MS + 1, `at most ${MAX_MS + 1} begin in one iteration`)
  }
)

t.test('While there is time, work begins in the same iteration', async (t) => {
  const waitToBegin = createTurnBudget(1_000)
  let hasTurned = false
  setImmediate(() => {
    hasTurned = true
  })
  for (let i = 0; i < 20; i++) await waitToBegin()
  t.equal(hasTurned, false)
})

t.test('Work that begins at once without taking time is bounded by its number', async (t) => {
  const waitToBegin = createTurnBudget(1_000)
  let begun = 0
  const all = Promise.all(
    Array.from({ length: 200 }, async () => {
      await waitToBegin()
      begun++
    })
  )
  await new Promise<void>((resolve) => queueMicrotask(() => queueMicrotask(resolve)))
  t.ok(begun > 0 && begun < 200, `${begun} of 200 have begun`)
  await all
  t.equal(begun, 200)
})
