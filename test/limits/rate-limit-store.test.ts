import t from 'tap'
import { createSharedCounts } from '../../src/http/rate-limit-store.ts'
import { build } from '../helper.ts'

const WINDOW_MS = 60_000
const CALLERS = 50
const EACH = 20
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1)
const inOrder = (counts: number[]) => counts.sort((a, b) => a - b)

t.test(
  `C10 ${CALLERS * EACH} hits of ${CALLERS} callers at once are counted one by one, in few statements`,
  async (t) => {
    const {
      app: { store }
    } = await build(t)
    let statements = 0
    const hit = createSharedCounts(async (...what) => {
      statements++
      return await store.rates.add(...what)
    }, Date.now)
    const counts = await Promise.all(
      Array.from({ length: CALLERS }, async () => {
        const own: number[] = []
        for (let i = 0; i < EACH; i++) own.push((await hit('bucket', WINDOW_MS, 1e6)).count)
        return own
      })
    )
    t.same(inOrder(counts.flat()), numbers(CALLERS * EACH))
    t.ok(statements <= (CALLERS * EACH) / 5, `${statements} statements`)
  }
)

t.test(
  'C10 Instances that count together at the same time lose nothing and count nothing twice',
  async (t) => {
    const {
      app: { store }
    } = await build(t)
    const instances = Array.from({ length: 4 }, () => createSharedCounts(store.rates.add, Date.now))
    const counts = await Promise.all(
      Array.from(
        { length: 400 },
        async (_, i) => (await instances[i % 4]?.('bucket', WINDOW_MS, 1e6))?.count ?? 0
      )
    )
    t.same(inOrder(counts), numbers(400))
  }
)

t.test(
  'C10 Who is over the limit is refused without a statement until the window closes, and then begins anew',
  async (t) => {
    let statements = 0
    let clock = 0
    const rows = { count: 0 }
    const hit = createSharedCounts(
      async (_bucket, hits) => {
        statements++
        rows.count += hits
        return { count: rows.count, leftMs: WINDOW_MS }
      },
      () => clock
    )
    for (let i = 1; i <= 100; i++) {
      t.equal((await hit('bucket', WINDOW_MS, 3)).count > 3, i > 3, `hit ${i}`)
    }
    t.equal(statements, 4)
    clock = WINDOW_MS
    rows.count = 0
    t.same(await hit('bucket', WINDOW_MS, 3), { count: 1, leftMs: WINDOW_MS })
  }
)

t.test(
  'C10 A count that fails fails for those who travelled with it, and the next one is counted',
  async (t) => {
    let fails = true
    const hit = createSharedCounts(async (_bucket, hits) => {
      await new Promise((resolve) => setImmediate(resolve))
      if (fails) throw new Error('away')
      return { count: hits, leftMs: WINDOW_MS }
    }, Date.now)
    const ended = await Promise.allSettled(
      Array.from({ length: 10 }, async () => await hit('bucket', WINDOW_MS, 3))
    )
    t.same([...new Set(ended.map(({ status }) => status))], ['rejected'])
    fails = false
    t.same(await hit('bucket', WINDOW_MS, 3), { count: 1, leftMs: WINDOW_MS })
  }
)

t.test('C10 A window is counted anew when it has closed', async (t) => {
  const {
    app: {
      store: { rates }
    }
  } = await build(t)
  t.equal((await rates.add('short', 5, 50)).count, 5)
  await new Promise((resolve) => setTimeout(resolve, 80))
  const { count, leftMs } = await rates.add('short', 2, WINDOW_MS)
  t.equal(count, 2)
  t.ok(leftMs > WINDOW_MS - 5_000 && leftMs <= WINDOW_MS, `${leftMs} ms`)
})
