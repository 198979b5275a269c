import t from 'tap'
import { createRateBudget } from '../../src/rate-budget/rate-budget.ts'
import type { CallPriority, CallTarget } from '../../src/rate-budget/target.ts'
import { createEmptyBudgets } from './helper.ts'

const HOUR_MS = 3_600_000
const QUOTA = 65_000
const AT = Date.UTC(2026, 4, 4, 8)
const TARGET: CallTarget = { app: 'app', site: 'acme', endpoint: 'GET jira/search' }
const ROUTINE = { isInteractive: false }
const BULK = { isInteractive: false, isBulk: true }
const INTERACTIVE = { isInteractive: true }

/** Atlassian's quota, which other programs use too, and a client that calls whenever it may. */
function createWorld({ usedByOthers = 0, at = AT, count = 250 } = {}) {
  let [now, used] = [at, usedByOthers]
  const budget = createRateBudget({
    shared: createEmptyBudgets(),
    now: () => now,
    hourlyPoints: QUOTA
  })
  const sent: number[] = []
  const send = async () => {
    used += 1 + count
    sent.push(now)
    const remaining = Math.max(0, QUOTA - used)
    const resetS = Math.ceil((HOUR_MS - (now % HOUR_MS)) / 1000)
    const state = used >= QUOTA * 0.8 ? `r=${remaining};t=${resetS}` : `t=${resetS}`
    return {
      status: 200,
      headers: {
        'ratelimit-policy': `"global-app-quota";q=${QUOTA};w=3600`,
        ratelimit: `"global-app-quota";${state}`
      },
      body: { issues: Array(count).fill({}) },
      retryAfterMs: undefined
    }
  }
  return {
    budget,
    sent,
    getUsed: () => used,
    getNow: () => now,
    spendElsewhere: (points: number) => {
      used += points
    },
    advanceTime: (ms: number) => {
      now += ms
    },
    call: async (priority: CallPriority = ROUTINE) => await budget.call(TARGET, priority, send)
  }
}

t.test(
  'Calls slow down before the quota is used up: what is left lasts until the reset',
  async (t) => {
    const world = createWorld()
    while (world.getNow() < AT + HOUR_MS) {
      const wait = world.budget.getWaitMs(TARGET, false)
      if (wait > 0) world.advanceTime(Math.min(wait, AT + HOUR_MS - world.getNow()))
      else {
        await world.call()
        world.advanceTime(100)
      }
    }
    const reserve = QUOTA - world.getUsed()
    t.ok(
      reserve >= QUOTA * 0.1 - 251 && reserve < QUOTA * 0.12,
      `${reserve} points are left for interactive calls`
    )
    const early = world.sent.filter((at) => at < AT + 60_000).length
    const gaps = world.sent.slice(early + 1).map((at, i) => at - (world.sent[early + i] ?? 0))
    t.ok(early > 200, `${early} calls in the first minute: no spacing below four fifths`)
    t.ok(gaps.length > 15, `${gaps.length} calls in the rest of the hour`)
    t.ok(
      Math.max(...gaps) < 2.5 * Math.min(...gaps),
      `evenly: ${Math.min(...gaps)} to ${Math.max(...gaps)} ms apart`
    )
    t.ok((world.sent.at(-1) ?? 0) > AT + HOUR_MS - 600_000, 'until the last minutes')
  }
)

t.test('The use of other programs slows calls down too', async (t) => {
  const world = createWorld({ usedByOthers: QUOTA * 0.85, at: AT + HOUR_MS / 2 })
  await world.call()
  t.equal(world.budget.getWaitMs(TARGET, false), 0, 'the first answer tells how little is left')
  await world.call()
  const wait = world.budget.getWaitMs(TARGET, false)
  t.ok(wait > 60_000, `${Math.round(wait)} ms to the next call`)
  world.spendElsewhere(2_000)
  world.advanceTime(wait)
  await world.call()
  t.ok(world.budget.getWaitMs(TARGET, false) > 2 * wait, 'less is left, so it takes longer')
})

t.test('Interactive calls are not spaced', async (t) => {
  const world = createWorld({ usedByOthers: QUOTA * 0.85 })
  for (let i = 0; i < 2; i++) await world.call()
  t.ok(world.budget.getWaitMs(TARGET, false) > 0)
  for (let i = 0; i < 10; i++) await world.call(INTERACTIVE)
  t.equal(world.budget.getWaitMs(TARGET, true), 0)
})

t.test('A call that waits for its turn goes as soon as it may', async (t) => {
  const startedAt = Date.now()
  const at = AT + HOUR_MS - 10_000
  const world = createWorld({ usedByOthers: QUOTA * 0.8, at, count: 300 })
  const timer = setInterval(() => {
    world.advanceTime(at + Date.now() - startedAt - world.getNow())
  }, 5)
  t.teardown(() => clearInterval(timer))
  for (let i = 0; i < 4; i++) await world.call()
  const [first = 0, , , last = 0] = world.sent
  t.ok(last - first >= 1_000 && last - first < 3_000, `${last - first} ms for four calls`)
})

t.test(
  'Full listings leave the points that routine syncs need in the rest of the hour',
  async (t) => {
    const world = createWorld({ usedByOthers: QUOTA * 0.7, at: AT + HOUR_MS / 2 })
    world.budget.reserveRoutinePoints('app', 30_000)
    await world.call(ROUTINE)
    t.equal(world.budget.getWaitMs(TARGET, false, true), 0)
    await world.call(ROUTINE)
    world.spendElsewhere(QUOTA * 0.1)
    await world.call(ROUTINE)
    t.equal(world.budget.getWaitMs(TARGET, false, true), HOUR_MS / 2, 'full listings stop')
    t.ok(world.budget.getWaitMs(TARGET, false) < 120_000, 'routine syncs go on')
    t.equal(world.budget.getWaitMs(TARGET, true), 0)
    world.advanceTime(HOUR_MS / 2)
    await world.call(BULK)
  }
)

t.test('Instances tell each other when the next paced call may go', async (t) => {
  const shared = createEmptyBudgets()
  const [one, other] = [0, 1].map(() =>
    createRateBudget({ shared, now: Date.now, hourlyPoints: QUOTA })
  )
  const response = {
    status: 200,
    headers: { ratelimit: '"global-app-quota";r=8000;t=1800' },
    body: { issues: Array(100).fill({}) },
    retryAfterMs: undefined
  }
  for (let i = 0; i < 2; i++) await one?.call(TARGET, INTERACTIVE, async () => response)
  await one?.call(TARGET, ROUTINE, async () => response)
  let calls = 0
  await t.rejects(
    other!.call(TARGET, ROUTINE, async () => {
      calls++
      return response
    }),
    { code: 'upstream_rate_limited' }
  )
  t.equal(calls, 0)
  await other?.call(TARGET, INTERACTIVE, async () => response)
})
