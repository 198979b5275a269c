import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { openCallback, requestLogin, startTestService, type TestService } from '../auth/helper.ts'
import { answerConsentPage, waitForRun, type Product } from '../helper.ts'
import { ACME, GLOBEX } from '../sandbox/helper.ts'
import { DANA } from '../../src/sandbox/oauth/users.ts'
import { getRun, waitForRunToStop, startSync } from '../sync/faults-helper.ts'
import { HOUR_MS } from '../time.ts'
import type { TestContext } from '../types.ts'

const OWNER_COUNT = 20
const SITE_IDS = { acme: ACME, globex: GLOBEX } as const
type SiteName = keyof typeof SITE_IDS
interface SyncOwner {
  id: number
  site: SiteName
}

const USERS = Array.from({ length: OWNER_COUNT }, (_, i) => ({
  ...DANA,
  accountId: `712020:${String(i).padStart(8, '0')}-0000-4000-8000-000000000000`,
  nickname: `person-${i}`,
  email: `person-${i}@example.com`
}))
const SIZES = { projects: 5, issues: 7, spaces: 3, pages: 5 }
const SYNC_ENV = { SYNC_INTERVAL: '0', SYNC_CONCURRENCY: '4' }
const getNextHour = (now: number) => (Math.floor(now / HOUR_MS) + 1) * HOUR_MS

/** A listening service, so that its schedule runs. */
async function startListeningService(
  t: TestContext,
  env: NodeJS.ProcessEnv = {},
  sandbox: object = {}
): Promise<TestService> {
  const service = await startTestService(
    t,
    { ...SYNC_ENV, ...env },
    { users: USERS, sizes: SIZES, indexLagMs: 0, maxLogEntries: 100_000, ...sandbox }
  )
  await service.app.listen({ host: '127.0.0.1', port: 0 })
  // Moves away from the top of the hour.
  service.advanceTime(
    getNextHour(service.sandbox.state.now()) + HOUR_MS / 3 - service.sandbox.state.now()
  )
  return service
}

/** Connects one of USERS, with an account of its own, to a site; resolves after the first sync. */
async function connectPerson(
  service: TestService,
  person: number,
  site: SiteName,
  product: Product = 'jira'
): Promise<SyncOwner> {
  const { email } = USERS[person] ?? DANA
  const answer = (await requestLogin(service, product, { state: `email=${email}` })).json() as {
    url: string
  }
  await openCallback(
    service,
    await answerConsentPage(
      answer.url,
      'accept',
      `&sandbox_account=person-${person}&sandbox_site=${site}`
    )
  )
  const { id } = (
    (await service.app.inject('/users')).json() as Array<{ id: number; email: string }>
  ).find((user) => user.email === email) ?? { id: 0 }
  const [{ id: first }] = (
    await service.app.inject(`/integrations/${product}/sync/runs?owner_id=${id}`)
  ).json()
  const { state } = await waitForRun(service.app, product, first)
  if (state !== 'succeeded') throw new Error('The first copy did not succeed')
  return { id, site }
}

const listCalls = ({ sandbox }: TestService, site: SiteName, since: number) =>
  sandbox.state.stats
    .snapshot()
    .log.slice(since)
    .filter(({ path }) => path.includes(SITE_IDS[site]))
const checkConnection = async ({ app }: TestService, owner: number) =>
  await app.inject({ method: 'POST', url: `/users/${owner}/connections/jira/check` })

t.test(
  `T37 With ${OWNER_COUNT} people and one site out of points: no call there before the hour, others go on`,
  async (t) => {
    const service = await startListeningService(t)
    const { state, admin } = service.sandbox
    const owners: SyncOwner[] = []
    for (let i = 0; i < OWNER_COUNT; i++) {
      owners.push(await connectPerson(service, i, i % 2 === 0 ? 'acme' : 'globex'))
    }
    await admin('quota', { exhaust: true, site: 'acme' })
    const [since, hour, startedAt] = [
      state.stats.snapshot().log.length,
      getNextHour(state.now()),
      performance.now()
    ]
    const runs = await Promise.all(
      owners.map(async ({ id, site }) => ({
        id: await startSync(service.app, 'jira', 'full', id),
        owner: id,
        site
      }))
    )
    const busiest = await measureConcurrency(service, runs, async () => {
      for (const { id, site } of runs.filter(({ site }) => site === 'globex')) {
        t.match(
          await waitForRunToStop(service, 'jira', id),
          { state: 'succeeded', error: null, counts: { seen: 3, removed: 0 } },
          `${site} is served`
        )
      }
    })
    t.ok(performance.now() - startedAt < 60_000, 'none of them waits for the hour')
    t.ok(busiest <= 4, `${busiest} at once`)
    for (const { id } of runs.filter(({ site }) => site === 'acme')) {
      const parked = await waitForRunToStop(service, 'jira', id)
      t.match(parked, {
        state: 'parked',
        error: { code: 'upstream_rate_limited' },
        counts: { seen: 0, removed: 0 }
      })
      const late = Date.parse(parked.next_run_at) - hour
      t.ok(late >= 0 && late < 5_000, `${late} ms after the hour`)
    }
    const refused = listCalls(service, 'acme', since)
    t.ok(
      refused.length <= 4 && refused.every(({ status }) => status === 429),
      `${refused.length} calls refused, all sent at the same moment`
    )
    t.equal(
      (await checkConnection(service, owners[0]?.id ?? 0)).statusCode,
      200,
      'interactive calls are answered'
    )

    service.advanceTime(hour - state.now() - 4_000)
    await sleep(2_500)
    t.equal(listCalls(service, 'acme', since).length, refused.length, 'no call before the hour')
    service.advanceTime(4_000)
    const atHour = await measureConcurrency(service, runs, async () => {
      for (const { id } of runs.filter(({ site }) => site === 'acme')) {
        t.match(await waitForRun(service.app, 'jira', id), {
          state: 'succeeded',
          error: null,
          counts: { seen: 12, removed: 0 }
        })
      }
    })
    t.ok(atHour <= 4, `${atHour} at once`)
    const after = listCalls(service, 'acme', since).slice(refused.length)
    t.ok(
      after.every(({ at, status }) => at >= hour && status === 200),
      'no call is refused again'
    )
  }
)

t.test('A burst refusal on one endpoint delays only that endpoint', async (t) => {
  const service = await startListeningService(t)
  const [ada, bob] = [
    await connectPerson(service, 0, 'acme'),
    await connectPerson(service, 1, 'globex')
  ]
  await service.sandbox.admin('faults', {
    kind: 'status',
    status: 429,
    headers: { 'Retry-After': '60', 'RateLimit-Reason': 'jira-burst-based' },
    match: { path: `/ex/jira/${ACME}/rest/api/3/search/jql` }
  })
  const since = service.sandbox.state.stats.snapshot().log.length
  const first = await startSync(service.app, 'jira', 'full', ada.id)
  t.match(
    await waitForRunToStop(service, 'jira', first),
    { state: 'parked', counts: { seen: 5 } },
    'projects were copied'
  )
  t.match(
    await waitForRunToStop(service, 'jira', await startSync(service.app, 'jira', 'full', bob.id)),
    {
      state: 'succeeded'
    }
  )
  t.equal(
    listCalls(service, 'acme', since).filter(({ path }) => path.endsWith('/search/jql')).length,
    1
  )
  // Another person's run on the same site reaches the endpoint and does not call it.
  const cy = {
    id: (
      await service.app.inject({
        method: 'POST',
        url: '/users',
        payload: { email: USERS[2]?.email }
      })
    ).json().id as number
  }
  const { url } = (await requestLogin(service, 'jira', { state: `user_id=${cy.id}` })).json()
  await openCallback(
    service,
    await answerConsentPage(url as string, 'accept', '&sandbox_account=person-2&sandbox_site=acme')
  )
  const [{ id: second }] = (
    await service.app.inject(`/integrations/jira/sync/runs?owner_id=${cy.id}`)
  ).json()
  t.match(await waitForRunToStop(service, 'jira', second), {
    state: 'parked',
    counts: { seen: 5, upstream_calls: 2 }
  })
  t.equal(
    listCalls(service, 'acme', since).filter(({ path }) => path.endsWith('/search/jql')).length,
    1
  )
  service.advanceTime(62_000)
  for (const id of [first, second]) {
    t.match(await waitForRun(service.app, 'jira', id), { state: 'succeeded', counts: { seen: 12 } })
  }
})

t.test('T37 An owner with a running sync does not go before an owner without one', async (t) => {
  const service = await startListeningService(t, { SYNC_CONCURRENCY: '2' })
  const people = [
    await connectPerson(service, 0, 'acme'),
    await connectPerson(service, 1, 'globex'),
    await connectPerson(service, 2, 'acme')
  ]
  for (const [i, site] of [
    [0, 'acme'],
    [1, 'globex']
  ] as const) {
    await connectPerson(service, i, site, 'confluence')
  }
  const [busy, greedy, modest] = people.map(({ id }) => id) as [number, number, number]
  // Both slots are busy for a second. Then one person requests two runs and another requests
  // one. The first of the two takes the longest.
  for (const [path, ms] of [
    [`/ex/jira/${ACME}/`, 1_000],
    [`/ex/confluence/${ACME}/`, 1_000],
    [`/ex/jira/${GLOBEX}/`, 5_000]
  ] as const) {
    await service.sandbox.admin('faults', { kind: 'delay', delay_ms: ms, match: { path } })
  }
  const requestedRuns: Array<[Product, number]> = [
    ['jira', busy],
    ['confluence', busy],
    ['jira', greedy],
    ['confluence', greedy],
    ['jira', modest]
  ]
  const ids: Array<[Product, number]> = []
  for (const [product, owner] of requestedRuns) {
    ids.push([product, await startSync(service.app, product, 'full', owner)])
  }
  const [, , first, second, other] = await Promise.all(
    ids.map(async ([product, id]) => await waitForRun(service.app, product, id))
  )
  const [startedAt, ended] = [Date.parse(first?.started_at), Date.parse(first?.finished_at)]
  const [ofGreedy, ofModest] = [Date.parse(second?.started_at), Date.parse(other?.started_at)]
  t.ok(
    startedAt <= ofModest && ofModest < ended,
    `the other person's run began ${ofModest - startedAt} ms after the first of the two, ` +
      `which took ${ended - startedAt} ms`
  )
  t.ok(ofModest < ofGreedy, `the second of the two began ${ofGreedy - ofModest} ms after it`)
})

t.test(
  'At nine tenths of the hourly points syncs wait for the next hour, and interactive calls do not',
  async (t) => {
    const service = await startListeningService(
      t,
      { ATLASSIAN_HOURLY_POINTS: '100' },
      { sizes: { projects: 44, issues: 44, spaces: 1, pages: 1 } }
    )
    const { state } = service.sandbox
    const ada = await connectPerson(service, 0, 'acme')
    const [since, hour] = [state.stats.snapshot().log.length, getNextHour(state.now())]
    const id = await startSync(service.app, 'jira', 'full', ada.id)
    const parked = await waitForRunToStop(service, 'jira', id)
    t.match(parked, { state: 'parked', counts: { upstream_calls: 0, points: 0 } })
    t.ok(Date.parse(parked.next_run_at) >= hour && Date.parse(parked.next_run_at) < hour + 5_000)
    t.equal((await checkConnection(service, ada.id)).statusCode, 200)
    t.equal(listCalls(service, 'acme', since).length, 0)
    await connectPerson(service, 0, 'acme', 'confluence')
    service.advanceTime(hour - state.now() + 2_000)
    t.match(
      await waitForRun(service.app, 'jira', id),
      { state: 'succeeded', counts: { seen: 88, upstream_calls: 3, points: 91 } },
      'the run resumes automatically'
    )
  }
)

t.test('Obeys published remaining points without a refusal first', async (t) => {
  const service = await startListeningService(
    t,
    {},
    { sizes: { projects: 30, issues: 30, spaces: 1, pages: 1 }, hourlyPoints: 400 }
  )
  const ada = await connectPerson(service, 0, 'acme')
  const states: string[] = []
  while (states.at(-1) !== 'parked' && states.length < 6) {
    states.push(
      (
        await waitForRunToStop(
          service,
          'jira',
          await startSync(service.app, 'jira', 'full', ada.id)
        )
      ).state
    )
  }
  t.same(states, ['succeeded', 'succeeded', 'succeeded', 'succeeded', 'parked'])
  t.equal(
    service.sandbox.state.stats.snapshot().log.filter(({ status }) => status === 429).length,
    0
  )
})

/** The highest number of concurrent runs until `wait` resolves. */
async function measureConcurrency(
  service: TestService,
  runs: Array<{ id: number }>,
  wait: () => Promise<void>
): Promise<number> {
  const over = new AbortController()
  let most = 0
  const watching = (async () => {
    while (!over.signal.aborted) {
      const states = await Promise.all(
        runs.map(async ({ id }) => (await getRun(service, 'jira', id)).state as string)
      )
      most = Math.max(most, states.filter((state) => state === 'running').length)
      await sleep(5)
    }
  })()
  await wait().finally(() => over.abort())
  await watching
  return most
}
