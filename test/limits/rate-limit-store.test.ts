import t from 'tap'
import { createSharedCounter } from '../../src/http/rate-limit-store.ts'
import { buildTestApp } from '../helper.ts'

const WINDOW_MS = 60_000
const CALLER_COUNT = 50
const CALLS_PER_CALLER = 20
const listNumbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1)
const sortNumbers = (counts: number[]) => counts.sort((a, b) => a - b)

t.test(
  `C10 Counts ${CALLER_COUNT} × ${CALLS_PER_CALLER} concurrent hits one by one, in few statements`,
  async (t) => {
    const {
      app: { store }
    } = await buildTestApp(t)
    let statements = 0
    const hit = createSharedCounter(async (...what) => {
      statements++
      return await store.rateLimits.add(...what)
    }, Date.now)
    const counts = await Promise.all(
      Array.from({ length: CALLER_COUNT }, async () => {
        const own: number[] = []
        for (let i = 0; i < CALLS_PER_CALLER; i++) {
          own.push((await hit('bucket', WINDOW_MS, 1e6)).count)
        }
        return own
      })
    )
    t.same(sortNumbers(counts.flat()), listNumbers(CALLER_COUNT * CALLS_PER_CALLER))
    t.ok(statements <= (CALLER_COUNT * CALLS_PER_CALLER) / 5, `${statements} statements`)
  }
)

t.test('C10 Concurrent instances lose no hit and count none twice', async (t) => {
  const {
    app: { store }
  } = await buildTestApp(t)
  const instances = Array.from({ length: 4 }, () =>
    createSharedCounter(store.rateLimits.add, Date.now)
  )
  const counts = await Promise.all(
    Array.from(
      { length: 400 },
      async (_, i) => (await instances[i % 4]?.('bucket', WINDOW_MS, 1e6))?.count ?? 0
    )
  )
  t.same(sortNumbers(counts), listNumbers(400))
})

t.test(
  'C10 Refuses a caller above the limit without a statement until the window closes',
  async (t) => {
    let statements = 0
    let clock = 0
    const rows = { count: 0 }
    const hit = createSharedCounter(
      async (_bucket, hits) => {
        statements++
        rows.count += hits
        return { count: rows.count, remainingMs: WINDOW_MS }
      },
      () => clock
    )
    for (let i = 1; i <= 100; i++) {
      t.equal((await hit('bucket', WINDOW_MS, 3)).count > 3, i > 3, `hit ${i}`)
    }
    t.equal(statements, 4)
    clock = WINDOW_MS
    rows.count = 0
    t.same(await hit('bucket', WINDOW_MS, 3), { count: 1, remainingMs: WINDOW_MS })
  }
)

t.test(
  'C10 A failed statement fails the hits of its batch, and the next batch is counted',
  async (t) => {
    let fails = true
    const hit = createSharedCounter(async (_bucket, hits) => {
      await new Promise((resolve) => setImmediate(resolve))
      if (fails) throw new Error('away')
      return { count: hits, remainingMs: WINDOW_MS }
    }, Date.now)
    const ended = await Promise.allSettled(
      Array.from({ length: 10 }, async () => await hit('bucket', WINDOW_MS, 3))
    )
    t.same([...new Set(ended.map(({ status }) => status))], ['rejected'])
    fails = false
    t.same(await hit('bucket', WINDOW_MS, 3), { count: 1, remainingMs: WINDOW_MS })
  }
)

t.test('C10 Starts a new count when the window closes', async (t) => {
  const {
    app: {
      store: { rateLimits }
    }
  } = await buildTestApp(t)
  t.equal((await rateLimits.add('short', 5, 50)).count, 5)
  await new Promise((resolve) => setTimeout(resolve, 80))
  const { count, remainingMs } = await rateLimits.add('short', 2, WINDOW_MS)
  t.equal(count, 2)
  t.ok(remainingMs > WINDOW_MS - 5_000 && remainingMs <= WINDOW_MS, `${remainingMs} ms`)
})
