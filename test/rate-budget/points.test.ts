import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { createRateBudget } from '../../src/rate-budget/rate-budget.ts'
import { toCallTarget, type CallTarget } from '../../src/rate-budget/target.ts'
import type { HttpResponse } from '../../src/lib/http-client.ts'
import {
  createEmptyBudgets,
  BACKGROUND,
  INTERACTIVE,
  createResponse,
  CALL_TARGET
} from './helper.ts'

const OTHER_SITE: CallTarget = { ...CALL_TARGET, site: 'globex' }
const OTHER_APP: CallTarget = { ...CALL_TARGET, app: 'other' }

const createItems = (count: number) => Array(count).fill({})

function createBudgetWithClock({ hourlyPoints = 1_000, at = Date.UTC(2026, 4, 4, 8, 20) } = {}) {
  let now = at
  const budget = createRateBudget({ shared: createEmptyBudgets(), now: () => now, hourlyPoints })
  const call = async (result: HttpResponse, place = CALL_TARGET, urgency = BACKGROUND) =>
    await budget.call(place, urgency, async () => result)
  return {
    budget,
    call,
    advanceTime: (ms: number) => {
      now += ms
    }
  }
}

t.test(
  'A call costs one point plus one per returned item; a refused call costs none',
  async (t) => {
    const { budget, call } = createBudgetWithClock()
    const costs: Array<[result: HttpResponse, points: number]> = [
      [createResponse(200, {}, { values: createItems(50) }), 51],
      [createResponse(200, {}, { results: createItems(25) }), 26],
      [createResponse(200, {}, { issues: createItems(100) }), 101],
      [createResponse(200, {}, { id: '1' }), 1],
      [createResponse(200, {}, undefined), 1],
      [createResponse(404), 1],
      [createResponse(500), 1],
      [createResponse(200, {}, { values: 'many', results: null }), 1]
    ]
    let spent = 0
    for (const [result, points] of costs) {
      await call(result)
      spent += points
      t.equal(budget.getUsedPoints('app'), spent)
    }
    await call(createResponse(429, { 'retry-after': '0' }, { values: createItems(50) }))
    t.equal(budget.getUsedPoints('app'), spent)
    t.equal(budget.getUsedPoints('other'), 0)
  }
)

t.test(
  "Syncs leave the last tenth of an hour's points to interactive calls; the next hour restores them all",
  async (t) => {
    const { budget, call, advanceTime } = createBudgetWithClock({ hourlyPoints: 100 })
    await call(createResponse(200, {}, { values: createItems(88) }))
    await call(createResponse(200))
    t.equal(budget.getUsedPoints('app'), 90)
    for (const place of [CALL_TARGET, OTHER_SITE]) {
      await t.rejects(
        call(createResponse(200), place),
        { code: 'upstream_rate_limited', details: { retryAfterS: 40 * 60 } },
        'on every site'
      )
      await call(createResponse(200, {}, { values: createItems(4) }), place, INTERACTIVE)
    }
    await call(createResponse(200), OTHER_APP)
    await t.rejects(call(createResponse(200), CALL_TARGET, INTERACTIVE), {
      code: 'upstream_rate_limited',
      details: { retryAfterS: 40 * 60 }
    })
    advanceTime(40 * 60_000 - 11_000)
    await t.rejects(call(createResponse(200)), { code: 'upstream_rate_limited' })
    advanceTime(11_000)
    await call(createResponse(200))
    t.equal(budget.getUsedPoints('app'), 1)
  }
)

t.test('Syncs wait for the next hour if it is close enough', async (t) => {
  const startedAt = Date.now()
  // One second before the hour.
  const at = Date.UTC(2026, 4, 4, 8, 59, 59)
  const budget = createRateBudget({
    shared: createEmptyBudgets(),
    now: () => at + Date.now() - startedAt,
    hourlyPoints: 100
  })
  await budget.call(CALL_TARGET, BACKGROUND, async () =>
    createResponse(200, {}, { values: createItems(95) })
  )
  const went: string[] = []
  const copy = budget.call(CALL_TARGET, BACKGROUND, async () => {
    went.push('copy')
    return createResponse(200)
  })
  await budget.call(CALL_TARGET, INTERACTIVE, async () => {
    went.push('person')
    return createResponse(200)
  })
  await sleep(300)
  t.same(went, ['person'], 'the rest is reserved for interactive calls')
  await copy
  t.ok(Date.now() - startedAt >= 1_000 - 5)
  t.same(went, ['person', 'copy'])
})

t.test(
  'The remaining points that Atlassian publishes count if they are lower than the local estimate',
  async (t) => {
    const { budget, call } = createBudgetWithClock()
    const remainingHeader = (points: number | string) =>
      createResponse(200, {
        'ratelimit-policy': '"global-app-quota";q=1000;w=3600',
        ratelimit: `"global-app-quota";r=${points};t=2400`
      })
    await call(remainingHeader(800))
    t.equal(budget.getUsedPoints('app'), 200, 'other clients spent them')
    await call(remainingHeader(950))
    t.equal(budget.getUsedPoints('app'), 201, 'it never raises the local estimate')
    await call(remainingHeader('many'))
    await call(createResponse(200, { ratelimit: '"burst";r=3;t=1' }))
    t.equal(budget.getUsedPoints('app'), 203, 'invalid values are ignored')
    await call(remainingHeader(100))
    await t.rejects(
      call(createResponse(200)),
      { code: 'upstream_rate_limited' },
      'nine tenths are gone'
    )
    await call(remainingHeader(0), CALL_TARGET, INTERACTIVE)
    await t.rejects(
      call(createResponse(200), CALL_TARGET, INTERACTIVE),
      { code: 'upstream_rate_limited' },
      'everything is gone'
    )
    t.equal(budget.getWaitMs(OTHER_APP, true), 0)
  }
)

t.test("A late success does not end the back-off after another call's refusal", async (t) => {
  const { budget, call, advanceTime } = createBudgetWithClock()
  let finish: (result: HttpResponse) => void = () => {}
  const slow = budget.call(
    CALL_TARGET,
    BACKGROUND,
    async () =>
      await new Promise<HttpResponse>((resolve) => {
        finish = resolve
      })
  )
  await call(createResponse(429, { 'retry-after': '60' }))
  finish(createResponse(200))
  await slow
  t.ok(budget.getWaitMs(CALL_TARGET, true) >= 60_000)
  await t.rejects(call(createResponse(200)), { code: 'upstream_rate_limited' })
  advanceTime(30_000)
  t.ok(budget.getWaitMs(CALL_TARGET, true) >= 30_000)
})

t.test('A shorter refusal does not shorten a longer one', async (t) => {
  const { budget } = createBudgetWithClock()
  const finish: Array<(result: HttpResponse) => void> = []
  const calls = [0, 1].map(
    async () =>
      await budget.call(
        CALL_TARGET,
        BACKGROUND,
        async () =>
          await new Promise<HttpResponse>((resolve) => {
            finish.push(resolve)
          })
      )
  )
  await sleep(1)
  finish[0]?.(createResponse(429, { 'retry-after': '600' }))
  finish[1]?.(createResponse(429, { 'retry-after': '1' }))
  await Promise.all(calls)
  t.ok(budget.getWaitMs(CALL_TARGET, true) >= 600_000)
})

t.test('Rejects queued calls at once when the back-off exceeds their maximum wait', async (t) => {
  const budget = createRateBudget({
    shared: createEmptyBudgets(),
    now: Date.now,
    hourlyPoints: 1_000
  })
  await budget.call(CALL_TARGET, BACKGROUND, async () =>
    createResponse(429, { 'retry-after': '1' })
  )
  let refuse: (result: HttpResponse) => void = () => {}
  const first = budget.call(
    CALL_TARGET,
    INTERACTIVE,
    async () =>
      await new Promise<HttpResponse>((resolve) => {
        refuse = resolve
      })
  )
  const others = Array.from(
    { length: 10 },
    async () => await budget.call(CALL_TARGET, BACKGROUND, async () => await first)
  )
  await sleep(1_500)
  refuse(createResponse(429, { 'retry-after': '3600' }))
  const outcomes = await Promise.allSettled([first, ...others])
  t.equal(
    outcomes.filter(({ status }) => status === 'fulfilled').length,
    8,
    'started calls complete'
  )
  t.same(
    outcomes
      .filter(({ status }) => status === 'rejected')
      .map((each) => (each as PromiseRejectedResult).reason.code),
    Array(3).fill('upstream_rate_limited')
  )
})

t.test("A call's budget depends on its app, site and endpoint, not on ids in its path", (t) => {
  const site = '8f0c1d3e-2222-4b4b-9a9a-000000000001'
  const at = (path: string, method = 'GET', app = 'app') =>
    toCallTarget(app, method, `https://api.atlassian.com${path}`)
  const gateway = `/ex/jira/${site}/rest/api/3`
  const places = [
    at(`${gateway}/project/search`),
    at(`${gateway}/issue/10042`),
    at(`${gateway}/search/jql`, 'POST'),
    at(`${gateway}/search/jql`),
    at(`/ex/confluence/${site}/wiki/api/v2/pages`),
    at(`/ex/confluence/${site}/wiki/api/v2/pages/302737`),
    at('/oauth/token/accessible-resources'),
    at(`${gateway}/issue/10042`, 'GET', 'other'),
    at(`/ex/jira/${site.replace('1', '2')}/rest/api/3/project/search`)
  ]
  t.equal(
    new Set(places.map((place) => JSON.stringify(place))).size,
    places.length,
    'these have budgets of their own'
  )
  t.same(
    places.map((place) => place.site),
    [...Array(6).fill(site), '', site, site.replace('1', '2')]
  )
  t.same(at(`${gateway}/issue/7?fields=id`), places[1], 'an issue key does not change the budget')
  t.same(at(`${gateway}/project/search?startAt=100`), places[0], 'nor does a page of a list')
  t.same(
    toCallTarget(
      'app',
      'GET',
      `http://localhost:3001/sandbox/ex/confluence/${site}/wiki/api/v2/pages/1`
    ),
    places[5],
    "nor does the gateway's address"
  )
  t.end()
})
