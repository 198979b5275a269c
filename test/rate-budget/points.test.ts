import t from 'tap'
import { createBudget, placeOf, type Place } from '../../src/rate-budget/rate-budget.ts'
import type { Answer } from '../../src/lib/http-client.ts'
import { nothingTold } from './helper.ts'

const HERE: Place = { app: 'app', site: 'acme', endpoint: 'GET jira/search' }
const OTHER_SITE: Place = { ...HERE, site: 'globex' }
const OTHER_APP: Place = { ...HERE, app: 'other' }
const BACKGROUND = { interactive: false }
const INTERACTIVE = { interactive: true }

type Headers = Record<string, string>
const answer = (status: number, headers: Headers = {}, body: unknown = {}): Answer => ({
  status,
  headers,
  body,
  retryAfterMs: undefined
})
const things = (count: number) => Array(count).fill({})
const sleep = async (ms: number) => await new Promise((resolve) => setTimeout(resolve, ms))

function moved({ hourlyPoints = 1_000, at = Date.UTC(2026, 4, 4, 8, 20) } = {}) {
  let now = at
  const budget = createBudget({ shared: nothingTold(), now: () => now, hourlyPoints })
  const call = async (result: Answer, place = HERE, urgency = BACKGROUND) =>
    await budget.call(place, urgency, async () => result)
  return {
    budget,
    call,
    pass: (ms: number) => {
      now += ms
    }
  }
}

t.test(
  'A call costs a point, and each thing in its answer another; a refusal costs nothing',
  async (t) => {
    const { budget, call } = moved()
    const costs: Array<[result: Answer, points: number]> = [
      [answer(200, {}, { values: things(50) }), 51],
      [answer(200, {}, { results: things(25) }), 26],
      [answer(200, {}, { issues: things(100) }), 101],
      [answer(200, {}, { id: '1' }), 1],
      [answer(200, {}, undefined), 1],
      [answer(404), 1],
      [answer(500), 1],
      [answer(200, {}, { values: 'many', results: null }), 1]
    ]
    let spent = 0
    for (const [result, points] of costs) {
      await call(result)
      spent += points
      t.equal(budget.points('app'), spent)
    }
    await call(answer(429, { 'retry-after': '0' }, { values: things(50) }))
    t.equal(budget.points('app'), spent)
    t.equal(budget.points('other'), 0)
  }
)

t.test(
  'Copies leave the last tenth of an hour to those who wait for an answer; then nobody calls; with the hour all of it is back',
  async (t) => {
    const { budget, call, pass } = moved({ hourlyPoints: 100 })
    await call(answer(200, {}, { values: things(88) }))
    await call(answer(200))
    t.equal(budget.points('app'), 90)
    for (const place of [HERE, OTHER_SITE]) {
      await t.rejects(
        call(answer(200), place),
        { code: 'upstream_rate_limited', extras: { retryAfterS: 40 * 60 } },
        'on every site'
      )
      await call(answer(200, {}, { values: things(4) }), place, INTERACTIVE)
    }
    await call(answer(200), OTHER_APP)
    await t.rejects(call(answer(200), HERE, INTERACTIVE), {
      code: 'upstream_rate_limited',
      extras: { retryAfterS: 40 * 60 }
    })
    pass(40 * 60_000 - 11_000)
    await t.rejects(call(answer(200)), { code: 'upstream_rate_limited' })
    pass(11_000)
    await call(answer(200))
    t.equal(budget.points('app'), 1)
  }
)

t.test(
  'So close to the next hour that it can be waited for, copies wait for it all the same',
  async (t) => {
    const began = Date.now()
    // A second before the hour.
    const at = Date.UTC(2026, 4, 4, 8, 59, 59)
    const budget = createBudget({
      shared: nothingTold(),
      now: () => at + Date.now() - began,
      hourlyPoints: 100
    })
    await budget.call(HERE, BACKGROUND, async () => answer(200, {}, { values: things(95) }))
    const went: string[] = []
    const copy = budget.call(HERE, BACKGROUND, async () => {
      went.push('copy')
      return answer(200)
    })
    await budget.call(HERE, INTERACTIVE, async () => {
      went.push('person')
      return answer(200)
    })
    await sleep(300)
    t.same(went, ['person'], 'what is left is for those who wait for an answer')
    await copy
    t.ok(Date.now() - began >= 1_000 - 5)
    t.same(went, ['person', 'copy'])
  }
)

t.test(
  'What Atlassian says is left counts, where it is less than what is known here',
  async (t) => {
    const { budget, call } = moved()
    const left = (points: number | string) =>
      answer(200, {
        'ratelimit-policy': '"tenant-app-quota";q=1000;w=3600',
        ratelimit: `"tenant-app-quota";r=${points};t=99999`
      })
    await call(left(800))
    t.equal(budget.points('app'), 200, 'others have spent them')
    await call(left(950))
    t.equal(budget.points('app'), 201, 'it never says that more is left than is known')
    await call(left('many'))
    await call(answer(200, { ratelimit: '"burst";r=3;t=1' }))
    t.equal(budget.points('app'), 203, 'and what is something else is not believed')
    await call(left(100))
    await t.rejects(call(answer(200)), { code: 'upstream_rate_limited' }, 'nine tenths are gone')
    await call(left(0), HERE, INTERACTIVE)
    await t.rejects(
      call(answer(200), HERE, INTERACTIVE),
      { code: 'upstream_rate_limited' },
      'everything is gone'
    )
    t.equal(budget.waitMs(OTHER_APP, true), 0)
  }
)

t.test("A late success does not open what somebody else's refusal has closed", async (t) => {
  const { budget, call, pass } = moved()
  let finish: (result: Answer) => void = () => {}
  const slow = budget.call(
    HERE,
    BACKGROUND,
    async () =>
      await new Promise<Answer>((resolve) => {
        finish = resolve
      })
  )
  await call(answer(429, { 'retry-after': '60' }))
  finish(answer(200))
  await slow
  t.ok(budget.waitMs(HERE, true) >= 60_000)
  await t.rejects(call(answer(200)), { code: 'upstream_rate_limited' })
  pass(30_000)
  t.ok(budget.waitMs(HERE, true) >= 30_000)
})

t.test('A shorter refusal does not shorten a longer one', async (t) => {
  const { budget } = moved()
  const finish: Array<(result: Answer) => void> = []
  const calls = [0, 1].map(
    async () =>
      await budget.call(
        HERE,
        BACKGROUND,
        async () =>
          await new Promise<Answer>((resolve) => {
            finish.push(resolve)
          })
      )
  )
  await sleep(1)
  finish[0]?.(answer(429, { 'retry-after': '600' }))
  finish[1]?.(answer(429, { 'retry-after': '1' }))
  await Promise.all(calls)
  t.ok(budget.waitMs(HERE, true) >= 600_000)
})

t.test('Those who wait at a gate that is closed for much longer are told so at once', async (t) => {
  const budget = createBudget({ shared: nothingTold(), now: Date.now, hourlyPoints: 1_000 })
  await budget.call(HERE, BACKGROUND, async () => answer(429, { 'retry-after': '1' }))
  let refuse: (result: Answer) => void = () => {}
  const first = budget.call(
    HERE,
    INTERACTIVE,
    async () =>
      await new Promise<Answer>((resolve) => {
        refuse = resolve
      })
  )
  const others = Array.from(
    { length: 10 },
    async () => await budget.call(HERE, BACKGROUND, async () => await first)
  )
  await sleep(1_500)
  refuse(answer(429, { 'retry-after': '3600' }))
  const outcomes = await Promise.allSettled([first, ...others])
  t.equal(
    outcomes.filter(({ status }) => status === 'fulfilled').length,
    8,
    'those who were inside have their answers'
  )
  t.same(
    outcomes
      .filter(({ status }) => status === 'rejected')
      .map((each) => (each as PromiseRejectedResult).reason.code),
    Array(3).fill('upstream_rate_limited')
  )
})

t.test('A call belongs to its app, its site and its endpoint, whatever it names', (t) => {
  const site = '8f0c1d3e-2222-4b4b-9a9a-000000000001'
  const at = (path: string, method = 'GET', app = 'app') =>
    placeOf(app, method, `https://api.atlassian.com${path}`)
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
    'these are places of their own'
  )
  t.same(
    places.map((place) => place.site),
    [...Array(6).fill(site), '', site, site.replace('1', '2')]
  )
  t.same(at(`${gateway}/issue/7?fields=id`), places[1], 'and what an issue is called makes none')
  t.same(at(`${gateway}/project/search?startAt=100`), places[0], 'nor a page of a list')
  t.same(
    placeOf(
      'app',
      'GET',
      `http://localhost:3001/sandbox/ex/confluence/${site}/wiki/api/v2/pages/1`
    ),
    places[5],
    'nor where the gateway is'
  )
  t.end()
})
