import t, { type Test } from 'tap'
import type { SandboxUser } from '../../src/sandbox/oauth/users.ts'
import { tokenServices, verifyAccessToken } from '../../src/sandbox/oauth/tokens.ts'
import { pickByScale, startTestService, SMALL_SANDBOX, type TestService } from '../auth/helper.ts'
import { ensureDatabase } from '../database.ts'
import {
  Browser,
  buildTestApp,
  OAUTH_CLIENTS,
  buildSandboxEnv,
  buildAppWithSandbox,
  CLIENT_SECRET,
  waitForRun,
  type TestApp,
  type Product
} from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { MISCONFIGURATION_CASES, TRANSIENT_CASES } from '../fixtures/refresh-answers.ts'
import { MINUTE_MS, HOUR_MS, DAY_MS } from '../time.ts'
import { TOKEN_ENDPOINT, TOKEN_EXPIRED_MS } from './helper.ts'

/** Sandbox users u1 to un. */
const createPeople = (count: number): SandboxUser[] =>
  Array.from({ length: count }, (_, i) => ({
    accountId: `712020:00000000-0000-4000-8000-${String(i + 1).padStart(12, '0')}`,
    name: `Person ${i + 1}`,
    nickname: `u${i + 1}`,
    email: `u${i + 1}@example.com`,
    timeZone: 'Etc/UTC',
    locale: 'en-US'
  }))
const listUserIds = (count: number) => Array.from({ length: count }, (_, i) => i + 1)
const checkConnection = async ({ app }: TestApp, user = 1, product: Product = 'jira') =>
  await app.inject({ method: 'POST', url: `/users/${user}/connections/${product}/check` })
const getConnection = async ({ app }: TestApp, user = 1) =>
  (await app.inject(`/users/${user}/connections`)).json().connections[0]
const getStats = async ({ sandbox }: Pick<TestService, 'sandbox'>) =>
  (await sandbox.admin('stats', undefined, 'GET')) as {
    exchanges: Record<string, Record<string, number>>
    family_revocations: number
  }
const injectFault = async ({ sandbox }: Pick<TestService, 'sandbox'>, what: object) =>
  await sandbox.admin('faults', { match: TOKEN_ENDPOINT, times: 1_000_000, ...what })

async function connectUser({ app }: TestApp, user: number, product: Product = 'jira') {
  const browser = new Browser(app)
  await browser.open(
    await browser.consent(product, {
      query: `&state=email:u${user}@example.com`,
      extra: `&sandbox_account=u${user}`
    })
  )
}

/** A service with this many people who connected Jira at the same moment. */
async function startServiceWithUsers(
  t: Test,
  count: number,
  env: NodeJS.ProcessEnv = {}
): Promise<TestService> {
  const running = await startTestService(
    t,
    { LOG_LEVEL: 'INFO', ...env },
    { users: createPeople(count) }
  )
  for (const user of listUserIds(count)) await connectUser(running, user)
  for (const user of listUserIds(count)) await waitForRun(running.app, 'jira', user)
  return running
}

/** Counts sandbox calls with a rejected token, and token endpoint calls. */
function countTokenRequests({ sandbox: { state } }: Pick<TestService, 'sandbox'>) {
  const counts = { refused: 0, exchanges: 0 }
  const { recordCall } = state.stats
  const take = state.faults.take.bind(state.faults)
  state.stats.recordCall = (label, entry) => {
    if (entry.status === 401) counts.refused++
    recordCall(label, entry)
  }
  state.faults.take = (method, path) => {
    if (path === TOKEN_ENDPOINT.path) counts.exchanges++
    return take(method, path)
  }
  return counts
}

t.test(
  'A13 T36 Refreshes unused consents between day 60 and day 75, spread out; they work after 200 days',
  async (t) => {
    const running = await startServiceWithUsers(t, 12)
    const counts = countTokenRequests(running)
    const refreshed = new Map(listUserIds(12).map((user) => [user, [0]]))
    running.advanceTime(57 * DAY_MS)
    for (let day = 58; day <= 200; day++) {
      running.advanceTime(DAY_MS)
      const before = counts.exchanges
      await running.app.maintenance.runNow()
      if (counts.exchanges === before) continue
      for (const [user, days] of refreshed) {
        const at = Date.parse((await getConnection(running, user)).last_refresh_at ?? 0)
        if (running.sandbox.state.now() - at < DAY_MS / 2) days.push(day)
      }
    }
    const gaps = [...refreshed.values()].flatMap((days) =>
      days.slice(1).map((day, i) => day - (days[i] ?? 0))
    )
    t.same(
      [...refreshed.values()].filter((days) => days.length < 3 || days.length > 4),
      [],
      'two or three times each'
    )
    t.same(
      gaps.filter((gap) => gap < 60 || gap > 76),
      []
    )
    t.ok(new Set([...refreshed.values()].map(([, day]) => day)).size > 4, 'spread out')
    running.advanceTime(TOKEN_EXPIRED_MS)
    for (const user of listUserIds(12)) {
      t.equal((await checkConnection(running, user)).statusCode, 200)
    }
    t.match(await getStats(running), {
      family_revocations: 0,
      exchanges: { refresh_token: { ok: gaps.length + 12 } }
    })
  }
)

t.test(
  'A13 Shows the year of a consent, warns once 30 and 7 days before its end; a new consent starts a new year',
  async (t) => {
    const running = await startServiceWithUsers(t, 1)
    await connectUser(running, 1, 'confluence')
    const start = running.sandbox.state.now()
    let today = 0
    const warned = () =>
      running
        .lines()
        .filter(({ event }) => event === 'consent_expiring')
        .map((line) => [today, line])
    const warnings: unknown[] = []
    const until = async (day: number) => {
      while (today < day) {
        const step = today < 330 || today >= 370 ? 5 : 1
        today += step
        running.advanceTime(step * DAY_MS)
        const before = warned().length
        for (let twice = 0; twice < 2; twice++) await running.app.maintenance.runNow()
        for (const [at, line] of warned().slice(before) as Array<
          [number, Record<string, unknown>]
        >) {
          warnings.push([at, line.user_id, line.product, line.days_left, line.level])
        }
      }
    }
    const by = Date.parse((await getConnection(running)).reconsent_by)
    t.ok(Math.abs(by - start - 365 * DAY_MS) < MINUTE_MS)
    await until(360)
    // The order of the two warnings of one day is undefined.
    t.strictSame(
      warnings.sort(),
      [
        [335, 30],
        [358, 7]
      ].flatMap(([day, daysLeft]) =>
        ['confluence', 'jira'].map((product) => [day, 1, product, daysLeft, 'warn'])
      )
    )
    t.equal(
      Date.parse(
        String(
          running
            .lines()
            .find(({ event, product }) => event === 'consent_expiring' && product === 'jira')
            ?.reconsent_by
        )
      ),
      by
    )
    await connectUser(running, 1)
    t.ok(
      Math.abs(Date.parse((await getConnection(running)).reconsent_by) - by - 360 * DAY_MS) <
        MINUTE_MS
    )
    await until(370)
    t.match(
      (await checkConnection(running, 1, 'confluence')).json(),
      { status: 409, code: 'needs_reconnect' },
      'Atlassian sets the year'
    )
    t.equal((await checkConnection(running)).statusCode, 200)
    await until(730)
    t.strictSame(warnings.slice(4), [
      [695, 1, 'jira', 30, 'warn'],
      [720, 1, 'jira', 5, 'warn']
    ])
  }
)

t.test(
  'A13 T36 Tokens are refreshed four to six minutes before they expire, spread over time',
  async (t) => {
    const running = await startServiceWithUsers(t, 16)
    const warningsPerUser = new Map<number, number>()
    running.advanceTime(53 * MINUTE_MS)
    const step = 20_000
    for (let ms = 53 * MINUTE_MS; ms <= 57 * MINUTE_MS; ms += step) {
      for (const user of listUserIds(16)) {
        const { last_refresh_at: at } = (await checkConnection(running, user)).json()
        if (at !== null && !warningsPerUser.has(user)) warningsPerUser.set(user, HOUR_MS - ms)
      }
      running.advanceTime(step)
    }
    // The time that connecting took.
    const moment = 10_000
    t.equal(warningsPerUser.size, 16)
    t.same(
      [...warningsPerUser.values()].filter(
        (ms) => ms < 4 * MINUTE_MS - step - moment || ms > 6 * MINUTE_MS + moment
      ),
      []
    )
    t.ok(
      Math.max(...warningsPerUser.values()) - Math.min(...warningsPerUser.values()) >=
        MINUTE_MS / 2,
      'spread over time'
    )
    t.match(
      await getStats(running),
      { exchanges: { refresh_token: { ok: 16 } } },
      'each of them once'
    )
  }
)

t.test(
  'A13 Consents used every 15 minutes for a day are never refused for an expired token',
  async (t) => {
    const count = pickByScale(24, 500)
    const running = await startServiceWithUsers(t, count, { LOG_LEVEL: 'ERROR' })
    const {
      app,
      sandbox: { state }
    } = running
    const counts = countTokenRequests(running)
    const grants = await Promise.all(
      listUserIds(count).map(
        async (user) => (await app.store.connections.get(user, 'jira'))?.grant.id ?? ''
      )
    )
    let refused = 0
    for (let quarter = 0; quarter < 96; quarter++) {
      running.advanceTime(15 * MINUTE_MS)
      // The gateway's verdict on the token, without network time.
      for (const token of await Promise.all(
        grants.map(async (id) => await app.tokenProvider.getAccessToken(id, { log: app.log }))
      )) {
        if (verifyAccessToken(tokenServices(state), token) === undefined) refused++
      }
    }
    t.equal(refused, 0)
    for (const user of listUserIds(count)) {
      t.match((await checkConnection(running, user)).json(), { state: 'active' })
    }
    t.equal(counts.refused, 0)
    t.equal(counts.exchanges, 24 * count, 'refreshed at most once an hour')
    running.advanceTime(76 * DAY_MS)
    await app.maintenance.runNow()
    t.equal(
      counts.exchanges,
      25 * count,
      'one maintenance pass refreshes all of them after a long idle time'
    )
    t.match(await getStats(running), { family_revocations: 0 })
  }
)

t.test(
  'A14 T35 A caller gets a token as long as it is valid, whatever the refresh returns',
  async (t) => {
    const running = await startServiceWithUsers(t, 1, { UPSTREAM_ANSWER_TIMEOUT_MS: '300' })
    const counts = countTokenRequests(running)
    const rows = [
      ...TRANSIENT_CASES.filter(({ title }) =>
        /^(429|500|200 with an empty body|silence|a connection closed before the exchange)$/.test(
          title
        )
      ),
      ...MISCONFIGURATION_CASES.slice(0, 1)
    ]
    t.equal(rows.length, 6)
    for (const { title, fault: make, to, calls } of rows) {
      await t.test(
        `${title}: served with two minutes left, refused with half a minute left`,
        async (t) => {
          running.advanceTime(TOKEN_EXPIRED_MS)
          t.equal((await checkConnection(running)).statusCode, 200)
          running.advanceTime(58 * MINUTE_MS)
          await injectFault(running, make(running.sandbox.state.now()))
          const before = counts.exchanges
          for (let i = 0; i < 2; i++) {
            t.match((await checkConnection(running)).json(), { state: to })
          }
          t.equal(counts.exchanges - before, calls)
          running.advanceTime(1.5 * MINUTE_MS)
          t.equal((await checkConnection(running)).statusCode, 502)
          await running.sandbox.admin('faults', undefined, 'DELETE')
          running.advanceTime(5 * MINUTE_MS)
          t.equal((await checkConnection(running)).json().state, 'active')
        }
      )
    }
  }
)

t.test('A14 An outage of an hour ends no connection and causes few calls', async (t) => {
  const running = await startServiceWithUsers(t, 2)
  const counts = countTokenRequests(running)
  running.advanceTime(30 * MINUTE_MS)
  await injectFault(running, { kind: 'drop-before', match: {} })
  const seen = new Set<string>()
  for (let minute = 0; minute < 60; minute++) {
    const answer = await checkConnection(running)
    t.match([answer.statusCode, answer.json().code], [502, 'upstream_unreachable'])
    seen.add((await getConnection(running)).state)
    if (minute % 5 === 0) await running.app.maintenance.runNow()
    running.advanceTime(MINUTE_MS)
  }
  t.same([...seen], ['active', 'degraded'])
  t.ok(counts.exchanges >= 10 && counts.exchanges <= 50, `${counts.exchanges} calls`)
  await running.sandbox.admin('faults', undefined, 'DELETE')
  running.advanceTime(
    Date.parse((await getConnection(running)).next_try_at) - running.sandbox.state.now() + 1
  )
  for (const user of listUserIds(2)) {
    t.equal((await checkConnection(running, user)).statusCode, 200)
  }
  t.same(
    (await running.app.inject('/users/1/connections/jira/history'))
      .json()
      .map(({ to }: { to: string }) => to),
    ['active', 'degraded', 'active']
  )
  t.equal(
    running.lines().filter(({ event }) => event === 'connection_state_changed').length,
    4,
    'the other connection logged nothing'
  )
  t.match(await getStats(running), { family_revocations: 0 })
})

for (const [title, minutes] of [
  ['ten minutes ahead', 10],
  ['ten minutes behind', -10],
  ['an hour behind', -60]
] as const) {
  t.test(
    `D10 An instance whose clock is ${title} causes no burst of refreshes and ends no connection`,
    async (t) => {
      const INTEGRATION_DB_URL = await ensureDatabase(t, `${createTempFolder(t)}/skew.db`)
      let clock = Date.now()
      const right = await buildAppWithSandbox(t, {
        env: { INTEGRATION_DB_URL },
        sandbox: { ...SMALL_SANDBOX, users: createPeople(1) },
        now: () => clock
      })
      const wrong = await buildTestApp(
        t,
        { ...buildSandboxEnv(right.sandbox.url), INTEGRATION_DB_URL },
        () => clock + minutes * MINUTE_MS
      )
      await connectUser(right, 1)
      await waitForRun(right.app, 'jira', 1)
      const counts = countTokenRequests(right)
      /** Which users call in which minute of each of six hours. */
      const turns = {
        both: () => [right, wrong],
        'one after the other': (minute: number) => [minute % 20 === 0 ? right : wrong],
        'the wrong one': () => [wrong],
        'each for an hour': (minute: number) => [minute % 120 < 60 ? right : wrong]
      }
      for (const [how, turn] of Object.entries(turns)) {
        const before = { ...counts }
        for (let minute = 0; minute < 6 * 60; minute += 10) {
          clock += 10 * MINUTE_MS
          for (const { app } of turn(minute)) {
            t.equal((await checkConnection({ app } as TestApp)).statusCode, 200)
          }
          if (minute % 60 === 0) {
            for (const { app } of [right, wrong]) await app.maintenance.runNow()
          }
        }
        const exchanges = counts.exchanges - before.exchanges
        t.ok(exchanges >= 5 && exchanges <= 10, `${how}: ${exchanges} refreshes in six hours`)
        t.ok(
          counts.refused - before.refused <= exchanges,
          `${how}: refused ${counts.refused - before.refused} times`
        )
      }
      t.match(await getStats(right), { family_revocations: 0 })
      t.same(
        (await right.app.inject('/users/1/connections/jira/history'))
          .json()
          .map(({ to }: { to: string }) => to),
        ['active']
      )
    }
  )
}

t.test(
  'A13 Consents of an app that is no longer configured do not stop the others from being refreshed',
  async (t) => {
    const INTEGRATION_DB_URL = await ensureDatabase(t, `${createTempFolder(t)}/replaced.db`)
    let clock = Date.now()
    const clients = [
      ...OAUTH_CLIENTS,
      {
        ...OAUTH_CLIENTS[0],
        id: 'new-app',
        secret: CLIENT_SECRET,
        name: 'New',
        access: 'resource' as const,
        scopes: OAUTH_CLIENTS[0]?.scopes ?? [],
        redirectUris: () => true
      }
    ]
    const before = await buildAppWithSandbox(t, {
      env: { INTEGRATION_DB_URL, LOG_LEVEL: 'ERROR' },
      sandbox: { ...SMALL_SANDBOX, users: createPeople(52), clients },
      now: () => clock
    })
    for (const user of listUserIds(51)) await connectUser(before, user)
    for (const user of listUserIds(51)) await waitForRun(before.app, 'jira', user)
    const after = await buildTestApp(
      t,
      {
        ...buildSandboxEnv(before.sandbox.url),
        INTEGRATION_DB_URL,
        LOG_LEVEL: 'ERROR',
        JIRA_OAUTH_CLIENT_ID: 'new-app'
      },
      () => clock
    )
    clock += 20 * DAY_MS
    await connectUser(after, 52)
    for (let day = 0; day < 120; day += 2) {
      clock += 2 * DAY_MS
      await after.app.maintenance.runNow()
    }
    t.match(await getConnection(after, 1), { state: 'needs_reconnect' })
    t.equal((await checkConnection(after, 52)).statusCode, 200)
    t.match(await getConnection(after, 52), { state: 'active' })
  }
)
