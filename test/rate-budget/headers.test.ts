import t from 'tap'
import { createRateBudget } from '../../src/rate-budget/rate-budget.ts'
import { parsePolicies } from '../../src/rate-budget/policies.ts'
import { parseRefusal } from '../../src/rate-budget/refusal.ts'
import type { CallTarget } from '../../src/rate-budget/target.ts'
import type { HttpResponse } from '../../src/lib/http-client.ts'
import { createEmptyBudgets } from './helper.ts'

type HeaderMap = Record<string, string | string[]>
const AT = Date.UTC(2026, 4, 4, 8, 20)
const TO_NEXT_HOUR_MS = 40 * 60_000
const TARGET: CallTarget = { app: 'app', site: 'acme', endpoint: 'GET jira/search' }
const OTHERS = {
  endpoint: { ...TARGET, endpoint: 'GET jira/projects' },
  site: { ...TARGET, site: 'globex' },
  app: { ...TARGET, app: 'other' }
}
const createResponse = (headers: HeaderMap = {}, status = 200): HttpResponse => ({
  status,
  headers,
  body: {},
  retryAfterMs: undefined
})

function createBudget({ hourlyPoints = 1_000 } = {}) {
  let now = AT
  const budget = createRateBudget({ shared: createEmptyBudgets(), now: () => now, hourlyPoints })
  return {
    budget,
    call: async (response: HttpResponse, target = TARGET, isInteractive = true) =>
      await budget.call(target, { isInteractive }, async () => response),
    listBlocked: () =>
      Object.entries({ here: TARGET, ...OTHERS })
        .filter(([, target]) => budget.getWaitMs(target, true) > 0)
        .map(([name]) => name),
    advanceTime: (ms: number) => {
      now += ms
    }
  }
}

t.test('Reads every policy, whatever its name, its order and its parameters', (t) => {
  const policies = parsePolicies({
    'ratelimit-policy': [
      '"jira-burst-based";q=350;w=1, "tenant-app-quota";w=3600;q=100100',
      'global-app-quota;q=65000;w=3600;pk=:cHsdsRa894==:;new'
    ],
    ratelimit:
      '"global-app-quota";t=200,"jira-burst-based";r=90;t=1 , "tenant-app-quota";pk="x";t=2107;r=17842'
  })
  t.match(Object.fromEntries(policies.map(({ name, ...rest }) => [name, rest])), {
    'jira-burst-based': {
      scope: 'endpoint',
      isQuota: false,
      quota: 350,
      remaining: 90,
      resetMs: 1_000
    },
    'tenant-app-quota': {
      scope: 'site',
      isQuota: true,
      quota: 100_100,
      remaining: 17_842,
      resetMs: 2_107_000
    },
    'global-app-quota': {
      scope: 'app',
      isQuota: true,
      quota: 65_000,
      remaining: undefined,
      resetMs: 200_000
    }
  })
  t.equal(policies.length, 3)
  t.end()
})

t.test('Ignores malformed headers, wrong types and the headers before enforcement', async (t) => {
  for (const ratelimit of [
    '',
    '"global-app-quota";r=',
    '"global-app-quota;r=0;t=50',
    'global app quota; r=0',
    '"global-app-quota";r=zero;t=50',
    '"global-app-quota";r="0";t=50',
    '"global-app-quota";r=-1;t=50',
    '("global-app-quota";r=0;t=50)',
    '1;r=0;t=50',
    '\u0000',
    'x'.repeat(100_000),
    '"a",'.repeat(1_000)
  ]) {
    const { budget, call } = createBudget()
    await call(createResponse({ ratelimit, 'ratelimit-policy': ratelimit }))
    t.equal(budget.getWaitMs(TARGET, true), 0, JSON.stringify(ratelimit.slice(0, 40)))
  }
  const { budget, call } = createBudget()
  await call(
    createResponse({
      'beta-ratelimit': '"global-app-quota";r=0;t=50',
      'beta-ratelimit-policy': '"global-app-quota";q=10;w=3600',
      'beta-retry-after': '3600',
      'x-beta-ratelimit-reason': 'jira-quota-tenant-based'
    })
  )
  t.equal(budget.getWaitMs(TARGET, true), 0, 'Beta- headers are informational')
})

t.test('r=0 stops every call that the policy covers until t, and no other call', async (t) => {
  const cases: Array<[name: string, blocked: string[]]> = [
    ['global-app-quota', ['here', 'endpoint', 'site']],
    ['tenant-app-quota', ['here', 'endpoint']],
    ['jira-burst-based', ['here']],
    ['something-new', ['here', 'endpoint', 'site']]
  ]
  for (const [name, blocked] of cases) {
    for (const isInteractive of [true, false]) {
      const { budget, call, listBlocked, advanceTime } = createBudget()
      await call(createResponse({ ratelimit: `"${name}";r=0;t=1800` }), TARGET, isInteractive)
      t.same(listBlocked(), blocked, name)
      const wait = budget.getWaitMs(TARGET, true)
      t.ok(wait >= 1_800_000 && wait < 1_801_000, `${wait} ms`)
      let calls = 0
      for (let i = 0; i < 9; i++) {
        await t.rejects(
          budget.call(TARGET, { isInteractive }, async () => {
            calls++
            return createResponse()
          }),
          { code: 'upstream_rate_limited' }
        )
      }
      t.equal(calls, 0, 'no call is sent')
      advanceTime(1_799_000)
      t.ok(budget.getWaitMs(TARGET, true) > 0, 'not before t')
      if (name === 'jira-burst-based') {
        advanceTime(2_000)
        await call(createResponse())
      }
    }
  }
  const { budget, call } = createBudget()
  await call(createResponse({ ratelimit: '"global-app-quota";r=0' }))
  const wait = budget.getWaitMs(TARGET, true)
  t.ok(
    wait >= TO_NEXT_HOUR_MS && wait < TO_NEXT_HOUR_MS + 1_000,
    'without t until the next UTC hour'
  )
})

t.test('A stated rest counts for the app or for the app at one site', async (t) => {
  const app = createBudget()
  await app.call(createResponse({ ratelimit: '"global-app-quota";r=40;t=2400' }))
  t.equal(app.budget.getWaitMs(TARGET, true), 0)
  t.equal(app.budget.getWaitMs(OTHERS.site, false), TO_NEXT_HOUR_MS, 'a tenth is reserved')
  const site = createBudget()
  await site.call(
    createResponse({
      ratelimit: '"tenant-app-quota";r=400;t=2400',
      'ratelimit-policy': '"tenant-app-quota";q=5000;w=3600'
    })
  )
  t.equal(site.budget.getWaitMs(TARGET, false), TO_NEXT_HOUR_MS)
  t.equal(site.budget.getWaitMs(OTHERS.site, false), 0, 'other sites have quotas of their own')
  t.match(await site.budget.getLimits('app'), {
    points: { limit: 1_000, used: 1, isReported: false },
    sites: [
      {
        site: 'acme',
        used: 4_600,
        points: { limit: 5_000, remaining: 400, used: 4_600, isReported: true }
      }
    ]
  })
})

t.test('A smaller quota than the setting counts, and a larger one does not', async (t) => {
  for (const [quota, limit] of [
    [400, 400],
    [65_000, 1_000]
  ]) {
    const { budget, call } = createBudget()
    await call(createResponse({ 'ratelimit-policy': `"global-app-quota";q=${quota};w=3600` }))
    t.equal((await budget.getLimits('app')).points.limit, limit)
  }
})

t.test('A refusal waits as its headers say', (t) => {
  const reset = (ms: number) => new Date(AT + ms).toISOString()
  const quota = { 'ratelimit-reason': 'jira-quota-global-based' }
  const cases: Array<[title: string, headers: HeaderMap, expected: object]> = [
    [
      'only t',
      { ratelimit: '"global-app-quota";t=3300' },
      { scope: 'app', waitMs: 3_300_000, reason: 'global-app-quota' }
    ],
    [
      'only t of a site',
      { ratelimit: '"tenant-app-quota";t=3300,"jira-burst-based";r=90;t=1' },
      { scope: 'site', waitMs: 3_300_000 }
    ],
    [
      'the policy with nothing left',
      { ratelimit: '"global-app-quota";t=3300,"jira-burst-based";r=0;t=1' },
      { scope: 'endpoint', waitMs: 1_000 }
    ],
    [
      'a quota: the earliest is the reset',
      {
        ...quota,
        'x-ratelimit-reset': reset(600_000),
        ratelimit: '"global-app-quota";r=0;t=1200',
        'retry-after': '3600'
      },
      { scope: 'app', waitMs: 600_000 }
    ],
    [
      'a quota: the earliest is t',
      {
        ...quota,
        'x-ratelimit-reset': reset(1_500_000),
        ratelimit: '"global-app-quota";r=0;t=1200'
      },
      { scope: 'app', waitMs: 1_200_000 }
    ],
    [
      'a quota: the earliest is the next UTC hour',
      {
        ...quota,
        'x-ratelimit-reset': reset(3_000_000),
        ratelimit: '"global-app-quota";r=0;t=3500'
      },
      { scope: 'app', waitMs: TO_NEXT_HOUR_MS }
    ],
    [
      'a cost limit with a short Retry-After',
      { 'ratelimit-reason': 'jira-cost-based', 'retry-after': '89' },
      { scope: 'app', waitMs: TO_NEXT_HOUR_MS, firstWaitMs: 89_000 }
    ],
    [
      'the gateway',
      {
        'x-failure-category': 'FAILURE CLIENT RATE LIMITED',
        'x-ratelimit-limit': '360000',
        'x-ratelimit-remaining': '0',
        'x-ratelimit-reset': reset(900_000)
      },
      { scope: 'app', waitMs: 900_000 }
    ],
    [
      'a burst with only t',
      { 'ratelimit-reason': 'jira-burst-based', ratelimit: '"jira-burst-based";r=0;t=2' },
      { scope: 'endpoint', waitMs: 2_000 }
    ],
    ['nothing', {}, { scope: 'app', waitMs: undefined, reason: 'unknown' }]
  ]
  for (const [title, headers, expected] of cases) {
    t.match(parseRefusal(createResponse(headers, 429), AT), expected, title)
  }
  t.end()
})

t.test('A short Retry-After of a quota is tried once, then its reset counts', async (t) => {
  const { budget, call, advanceTime } = createBudget()
  const refusal = createResponse(
    { 'ratelimit-reason': 'jira-cost-based', 'retry-after': '89' },
    429
  )
  await call(refusal)
  const first = budget.getWaitMs(TARGET, true)
  t.ok(first >= 89_000 && first < 90_000, `${first} ms`)
  advanceTime(first)
  await call(refusal)
  const second = budget.getWaitMs(TARGET, true)
  t.ok(second >= TO_NEXT_HOUR_MS - first && second < TO_NEXT_HOUR_MS, `${second} ms`)
})

t.test('The quota does not cover calls outside a site', async (t) => {
  const { budget, call } = createBudget()
  const outside = { app: 'app', site: '', endpoint: 'GET /oauth/token/accessible-resources' }
  await call(createResponse({ ratelimit: '"global-app-quota";r=0;t=1800' }))
  await call(createResponse(), outside)
  t.equal(budget.getUsedPoints('app'), 1, 'and they cost no points')
  await call(createResponse({ 'retry-after': '60' }, 429), outside)
  t.ok(budget.getWaitMs(outside, true) >= 60_000)
  t.ok(budget.getWaitMs({ ...TARGET, app: 'app' }, true) > 1_700_000)
  t.equal(budget.getWaitMs(OTHERS.app, true), 0)
})

t.test('A refusal of one account at a site leaves the other accounts alone', async (t) => {
  const { budget } = createBudget()
  const [dana, eve] = ['dana', 'eve'].map((account) => ({ ...TARGET, account }))
  await budget.call(dana as CallTarget, { isInteractive: true }, async () =>
    createResponse(
      {
        'ratelimit-reason': 'jira-max-concurrent-threads-per-tenant-per-user',
        'retry-after': '60'
      },
      429
    )
  )
  t.ok(budget.getWaitMs({ ...dana, endpoint: 'GET jira/projects' } as CallTarget, true) >= 60_000)
  t.equal(budget.getWaitMs(eve as CallTarget, true), 0)
})
