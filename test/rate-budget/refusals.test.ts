import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { createRateBudget, type RateBudget } from '../../src/rate-budget/rate-budget.ts'
import { HOUR_MS } from '../time.ts'
import {
  createEmptyBudgets,
  BACKGROUND,
  INTERACTIVE,
  createResponse,
  CALL_TARGET
} from './helper.ts'

const OTHER_TARGETS = {
  endpoint: { ...CALL_TARGET, endpoint: 'GET jira/projects' },
  account: { ...CALL_TARGET, account: 'eve' },
  site: { ...CALL_TARGET, site: 'globex' },
  app: { ...CALL_TARGET, app: 'other' }
}

type HeaderMap = Record<string, string>
const respondOk = async () => createResponse(200)

/** A budget with a manual clock; its timers run in real time. */
function createBudgetWithClock({ hourlyPoints = 1_000, at = Date.UTC(2026, 4, 4, 8, 20) } = {}) {
  let now = at
  const budget = createRateBudget({ shared: createEmptyBudgets(), now: () => now, hourlyPoints })
  return {
    budget,
    now: () => now,
    advanceTime: (ms: number) => {
      now += ms
    }
  }
}

/** A budget in real time, for tests of waits. */
const createRealTimeBudget = (hourlyPoints = 1_000) =>
  createRateBudget({ shared: createEmptyBudgets(), now: Date.now, hourlyPoints })

const sendRefusal = async (
  budget: RateBudget,
  headers: HeaderMap,
  { place = CALL_TARGET, status = 429 } = {}
) => {
  await budget.call(place, BACKGROUND, async () => createResponse(status, headers))
}

t.test('The reason of a refusal determines which calls it blocks', async (t) => {
  const reasons: Array<
    [reason: string | undefined, reach: 'app' | 'site' | 'account' | 'endpoint']
  > = [
    ['jira-quota-global-based', 'app'],
    ['confluence-quota-global-based', 'app'],
    ['conf-global-based', 'app'],
    ['jira-cost-based', 'app'],
    ['jira-quota-tenant-based', 'site'],
    ['confluence-quota-tenant-based', 'site'],
    [undefined, 'app'],
    ['something-new', 'app'],
    ['jira-burst-based', 'endpoint'],
    ['jira-per-issue-on-write', 'endpoint'],
    ['jira-max-concurrent-threads-across-all-instances-per-tenant-per-user', 'account']
  ]
  for (const [reason, reach] of reasons) {
    const { budget } = createBudgetWithClock()
    await sendRefusal(budget, {
      'retry-after': '60',
      ...(reason === undefined ? {} : { 'ratelimit-reason': reason })
    })
    const blockedTargets = Object.entries({ here: CALL_TARGET, ...OTHER_TARGETS })
      .filter(([, place]) => budget.getWaitMs(place, true) > 0)
      .map(([name]) => name)
    t.same(
      blockedTargets,
      {
        endpoint: ['here', 'account'],
        account: ['here', 'endpoint'],
        site: ['here', 'endpoint', 'account'],
        app: ['here', 'endpoint', 'account', 'site']
      }[reach],
      String(reason)
    )
  }
})

t.test(
  'Waits for the stated time and little more; of two times the later, but the reset for a quota',
  async (t) => {
    const at = Date.UTC(2026, 4, 4, 8, 20)
    const reset = { 'x-ratelimit-reset': new Date(at + 1_200_000).toISOString() }
    const waits: Array<[title: string, headers: HeaderMap, ms: number, status?: number]> = [
      ['seconds', { 'retry-after': '60' }, 60_000],
      ['a date', { 'retry-after': new Date(at + 60_000).toUTCString() }, 60_000],
      ['a reset', reset, 1_200_000],
      ['a reset without seconds', { 'x-ratelimit-reset': '2026-05-04T08:40Z' }, 1_200_000],
      ['both', { 'retry-after': '60', ...reset }, 1_200_000],
      ['both, in reverse order', { 'retry-after': '3600', ...reset }, 3_600_000],
      [
        'both for a quota',
        { 'retry-after': '3600', 'ratelimit-reason': 'jira-quota-tenant-based', ...reset },
        1_200_000
      ],
      [
        'a quota without a reset: the next hour',
        { 'retry-after': '3600', 'ratelimit-reason': 'jira-quota-tenant-based' },
        2_400_000
      ],
      ['503', { 'retry-after': '60' }, 60_000, 503],
      ['a year', { 'retry-after': '31536000' }, 24 * HOUR_MS],
      ['the past', { 'retry-after': new Date(at - 60_000).toUTCString() }, 0]
    ]
    for (const [title, headers, ms, status = 429] of waits) {
      const { budget, advanceTime } = createBudgetWithClock()
      await sendRefusal(budget, headers, { status })
      const wait = budget.getWaitMs(CALL_TARGET, true)
      t.ok(wait >= ms && wait <= ms + 500, `${title}: ${wait} of ${ms} ms`)
      if (ms < 10_000) continue
      let calls = 0
      const call = async () =>
        await budget.call(CALL_TARGET, BACKGROUND, async () => {
          calls++
          return createResponse(200)
        })
      await t.rejects(
        call(),
        { code: 'upstream_rate_limited', details: { retryAfterS: Math.ceil(wait / 1000) } },
        'a call with a longer wait is rejected with the wait'
      )
      t.equal(calls, 0)
      advanceTime(wait)
      await call()
      t.equal(calls, 1)
    }
    const { budget } = createBudgetWithClock()
    for (const [status, headers] of [
      [503, {}],
      [500, { 'retry-after': '60' }],
      [200, { 'retry-after': '60', 'beta-retry-after': '3600' }],
      [404, {}]
    ] as Array<[number, HeaderMap]>) {
      await sendRefusal(budget, headers, { status })
      t.equal(budget.getWaitMs(CALL_TARGET, true), 0, `${status} is not a rate-limit refusal`)
    }
  }
)

t.test(
  'Back-off without a stated time doubles up to 30 s with jitter, and restarts after a success',
  async (t) => {
    const { budget, advanceTime } = createBudgetWithClock()
    const waits: number[] = []
    for (let i = 0; i < 8; i++) {
      await sendRefusal(budget, { 'beta-retry-after': '3600' })
      waits.push(budget.getWaitMs(CALL_TARGET, true))
      advanceTime(waits.at(-1) ?? 0)
    }
    for (const [i, wait] of waits.entries()) {
      const middle = Math.min(30_000, 2_000 * 2 ** i)
      t.ok(wait >= 0.7 * middle && wait <= 1.3 * middle, `${i + 1}: ${Math.round(wait)} ms`)
    }
    await budget.call(CALL_TARGET, BACKGROUND, respondOk)
    await sendRefusal(budget, {})
    t.ok(budget.getWaitMs(CALL_TARGET, true) <= 2_600)
    const jitter = new Set<number>()
    for (let i = 0; i < 5; i++) {
      const other = createBudgetWithClock()
      await sendRefusal(other.budget, {})
      jitter.add(other.budget.getWaitMs(CALL_TARGET, true))
    }
    t.equal(jitter.size, 5, 'no two waits are equal')
  }
)

t.test('T35 Interactive calls wait at most 5 s, sync calls at most 10 s', async (t) => {
  for (const [seconds, urgency, waits] of [
    [4, INTERACTIVE, true],
    [6, INTERACTIVE, false],
    [9, BACKGROUND, true],
    [11, BACKGROUND, false]
  ] as const) {
    const { budget } = createBudgetWithClock()
    await sendRefusal(budget, { 'retry-after': String(seconds) })
    const stopping = new AbortController()
    const call = budget.call(CALL_TARGET, { ...urgency, signal: stopping.signal }, respondOk)
    const outcome = await Promise.race([
      call.then(
        () => 'called',
        (error: { code: string }) => error.code
      ),
      sleep(30).then(() => 'waits')
    ])
    t.equal(outcome, waits ? 'waits' : 'upstream_rate_limited', `${seconds} s`)
    stopping.abort()
    await call.catch(() => {})
  }
})

t.test('An aborted call leaves the queue, and others stay', async (t) => {
  const budget = createRealTimeBudget()
  await sendRefusal(budget, { 'retry-after': '1' })
  const stopping = new AbortController()
  let calls = 0
  const [stopped, staying] = [stopping.signal, undefined].map(
    async (signal) =>
      await budget.call(CALL_TARGET, { ...BACKGROUND, signal }, async () => {
        calls++
        return createResponse(200)
      })
  )
  setTimeout(() => stopping.abort(new Error('enough')), 20)
  await t.rejects(stopped!, { code: 'interrupted' })
  t.equal(calls, 0)
  await staying
  t.equal(calls, 1)
  await t.rejects(
    budget.call(CALL_TARGET, { ...BACKGROUND, signal: AbortSignal.abort() }, respondOk),
    { code: 'interrupted' },
    'an aborted signal prevents the call'
  )
})

t.test('After a back-off interactive calls go first, and no call goes early', async (t) => {
  const budget = createRealTimeBudget()
  await sendRefusal(budget, { 'retry-after': '1' })
  const opens = Date.now() + 1_000 - 5
  const went: Array<[who: string, at: number]> = []
  const call = async (who: string, urgency: { isInteractive: boolean }) =>
    await budget.call(CALL_TARGET, urgency, async () => {
      went.push([who, Date.now()])
      await sleep(10)
      return createResponse(200)
    })
  const copies = Array.from({ length: 20 }, async (_, i) => await call(`copy ${i}`, BACKGROUND))
  const people = Array.from({ length: 10 }, async (_, i) => await call(`person ${i}`, INTERACTIVE))
  await Promise.all([...copies, ...people])
  t.same(
    went.map(([who]) => who),
    [
      ...Array.from({ length: 10 }, (_, i) => `person ${i}`),
      ...Array.from({ length: 20 }, (_, i) => `copy ${i}`)
    ]
  )
  t.ok(went.every(([, at]) => at >= opens))
})

t.test(
  'T35 Limits concurrent calls to eight per endpoint, without delaying other endpoints',
  async (t) => {
    const budget = createRealTimeBudget()
    let [inside, most] = [0, 0]
    const call = async () =>
      await budget.call(CALL_TARGET, BACKGROUND, async () => {
        most = Math.max(most, ++inside)
        await sleep(5)
        inside--
        if (most % 2 === 0) throw new Error('lost')
        return createResponse(200)
      })
    const calls = Promise.allSettled(Array.from({ length: 60 }, call))
    await budget.call(OTHER_TARGETS.endpoint, BACKGROUND, respondOk)
    t.ok(inside === 8, 'the others are still running')
    await calls
    t.same([most, inside], [8, 0], 'a failed call frees its slot')
  }
)
