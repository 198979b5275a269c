import t, { type Test } from 'tap'
import type { User } from '../../src/sandbox/oauth/users.ts'
import { parts, readAccess } from '../../src/sandbox/oauth/tokens.ts'
import { many, service, SMALL, type Product, type Service } from '../auth/helper.ts'
import { databaseAt } from '../database.ts'
import {
  Browser,
  build,
  CLIENTS,
  configured,
  connected,
  SECRET,
  synced,
  type Built
} from '../helper.ts'
import { folder } from '../process/child.ts'
import { OPERATORS, PASSING } from '../fixtures/refresh-answers.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
const OVER_MS = 61 * MINUTE_MS
const TOKENS = { path: '/oauth/token', method: 'POST' }

/** So many people, u1 to un. */
const people = (count: number): User[] =>
  Array.from({ length: count }, (_, i) => ({
    accountId: `712020:00000000-0000-4000-8000-${String(i + 1).padStart(12, '0')}`,
    name: `Person ${i + 1}`,
    nickname: `u${i + 1}`,
    email: `u${i + 1}@example.com`,
    timeZone: 'Etc/UTC',
    locale: 'en-US'
  }))
const ids = (count: number) => Array.from({ length: count }, (_, i) => i + 1)
const check = async ({ app }: Built, user = 1, product: Product = 'jira') =>
  await app.inject({ method: 'POST', url: `/users/${user}/connections/${product}/check` })
const view = async ({ app }: Built, user = 1) =>
  (await app.inject(`/users/${user}/connections`)).json().connections[0]
const stats = async ({ sandbox }: Pick<Service, 'sandbox'>) =>
  (await sandbox.admin('stats', undefined, 'GET')) as {
    exchanges: Record<string, Record<string, number>>
    family_revocations: number
  }
const fault = async ({ sandbox }: Pick<Service, 'sandbox'>, what: object) =>
  await sandbox.admin('faults', { match: TOKENS, times: 1_000_000, ...what })

async function connect({ app }: Built, user: number, product: Product = 'jira') {
  const browser = new Browser(app)
  await browser.open(
    await browser.consent(product, {
      query: `&state=email:u${user}@example.com`,
      extra: `&sandbox_account=u${user}`
    })
  )
}

/** A service with so many people who have connected Jira, at the same moment. */
async function crowd(t: Test, count: number, env: NodeJS.ProcessEnv = {}): Promise<Service> {
  const running = await service(t, { LOG_LEVEL: 'INFO', ...env }, { users: people(count) })
  for (const user of ids(count)) await connect(running, user)
  for (const user of ids(count)) await synced(running.app, 'jira', user)
  return running
}

/** Counts the calls at the sandbox, refused for the token or to the token endpoint. */
function watched({ sandbox: { world } }: Pick<Service, 'sandbox'>) {
  const counts = { refused: 0, exchanges: 0 }
  const { call } = world.stats
  const take = world.faults.take.bind(world.faults)
  world.stats.call = (label, entry) => {
    if (entry.status === 401) counts.refused++
    call(label, entry)
  }
  world.faults.take = (method, path) => {
    if (path === TOKENS.path) counts.exchanges++
    return take(method, path)
  }
  return counts
}

t.test(
  'A13 T36 Consents that nobody uses are kept alive, between day 60 and day 75, not all on one day, and live on after 200 days',
  async (t) => {
    const running = await crowd(t, 12)
    const counts = watched(running)
    const refreshed = new Map(ids(12).map((user) => [user, [0]]))
    running.pass(57 * DAY_MS)
    for (let day = 58; day <= 200; day++) {
      running.pass(DAY_MS)
      const before = counts.exchanges
      await running.app.upkeep.once()
      if (counts.exchanges === before) continue
      for (const [user, days] of refreshed) {
        const at = Date.parse((await view(running, user)).last_refresh_at ?? 0)
        if (running.sandbox.world.now() - at < DAY_MS / 2) days.push(day)
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
    running.pass(OVER_MS)
    for (const user of ids(12)) t.equal((await check(running, user)).statusCode, 200)
    t.match(await stats(running), {
      family_revocations: 0,
      exchanges: { refresh_token: { ok: gaps.length + 12 } }
    })
  }
)

t.test(
  'A13 The year of a consent is shown, and its end is warned of, once 30 days and once 7 days before; a new consent begins a new one',
  async (t) => {
    const running = await crowd(t, 1)
    await connect(running, 1, 'confluence')
    const start = running.sandbox.world.now()
    let today = 0
    const warned = () =>
      running
        .lines()
        .filter(({ event }) => event === 'consent_expiring')
        .map((line) => [today, line])
    const told: unknown[] = []
    const until = async (day: number) => {
      while (today < day) {
        const step = today < 330 || today >= 370 ? 5 : 1
        today += step
        running.pass(step * DAY_MS)
        const before = warned().length
        for (let twice = 0; twice < 2; twice++) await running.app.upkeep.once()
        for (const [at, line] of warned().slice(before) as Array<
          [number, Record<string, unknown>]
        >) {
          told.push([at, line.user_id, line.product, line.days_left, line.level])
        }
      }
    }
    const by = Date.parse((await view(running)).reconsent_by)
    t.ok(Math.abs(by - start - 365 * DAY_MS) < MINUTE_MS)
    await until(360)
    // Which of the two of a day is first is nobody's promise.
    t.strictSame(
      told.sort(),
      [
        [335, 30],
        [358, 7]
      ].flatMap(([day, left]) =>
        ['confluence', 'jira'].map((product) => [day, 1, product, left, 'warn'])
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
    await connect(running, 1)
    t.ok(Math.abs(Date.parse((await view(running)).reconsent_by) - by - 360 * DAY_MS) < MINUTE_MS)
    await until(370)
    t.match(
      (await check(running, 1, 'confluence')).json(),
      { status: 409, code: 'needs_reconnect' },
      "the year is Atlassian's"
    )
    t.equal((await check(running)).statusCode, 200)
    await until(730)
    t.strictSame(told.slice(4), [
      [695, 1, 'jira', 30, 'warn'],
      [720, 1, 'jira', 5, 'warn']
    ])
  }
)

t.test(
  'A13 T36 A token is replaced four to six minutes before its end, and not all of them at once',
  async (t) => {
    const running = await crowd(t, 16)
    const left = new Map<number, number>()
    running.pass(53 * MINUTE_MS)
    const step = 20_000
    for (let ms = 53 * MINUTE_MS; ms <= 57 * MINUTE_MS; ms += step) {
      for (const user of ids(16)) {
        const { last_refresh_at: at } = (await check(running, user)).json()
        if (at !== null && !left.has(user)) left.set(user, HOUR_MS - ms)
      }
      running.pass(step)
    }
    // Connecting took a moment for each.
    const moment = 10_000
    t.equal(left.size, 16)
    t.same(
      [...left.values()].filter(
        (ms) => ms < 4 * MINUTE_MS - step - moment || ms > 6 * MINUTE_MS + moment
      ),
      []
    )
    t.ok(
      Math.max(...left.values()) - Math.min(...left.values()) >= MINUTE_MS / 2,
      'spread over a while'
    )
    t.match(
      await stats(running),
      { exchanges: { refresh_token: { ok: 16 } } },
      'and each of them once'
    )
  }
)

t.test(
  'A13 Consents that are used every quarter of an hour for a day are never refused for an old token',
  async (t) => {
    const count = many(24, 500)
    const running = await crowd(t, count, { LOG_LEVEL: 'ERROR' })
    const {
      app,
      sandbox: { world }
    } = running
    const counts = watched(running)
    const grants = await Promise.all(
      ids(count).map(
        async (user) => (await app.store.connections.get(user, 'jira'))?.grant.id ?? ''
      )
    )
    let refused = 0
    for (let quarter = 0; quarter < 96; quarter++) {
      running.pass(15 * MINUTE_MS)
      // What the gateway would say to it, without the way there and back.
      for (const token of await Promise.all(
        grants.map(async (id) => await app.access.accessToken(id, { log: app.log }))
      )) {
        if (readAccess(parts(world), token) === undefined) refused++
      }
    }
    t.equal(refused, 0)
    for (const user of ids(count)) t.match((await check(running, user)).json(), { state: 'active' })
    t.equal(counts.refused, 0)
    t.equal(counts.exchanges, 24 * count, 'and refreshed once an hour, no more')
    running.pass(76 * DAY_MS)
    await app.upkeep.once()
    t.equal(
      counts.exchanges,
      25 * count,
      'and one round of upkeep reaches all of them when they have long been idle'
    )
    t.match(await stats(running), { family_revocations: 0 })
  }
)

t.test(
  'A14 T35 A caller is served while the token still works, whatever the refresh is answered',
  async (t) => {
    const running = await crowd(t, 1, { UPSTREAM_ANSWER_TIMEOUT_MS: '300' })
    const counts = watched(running)
    const rows = [
      ...PASSING.filter(({ title }) =>
        /^(429|500|200 with nothing|silence|a closed connection, before the work)$/.test(title)
      ),
      ...OPERATORS.slice(0, 1)
    ]
    t.equal(rows.length, 6)
    for (const { title, fault: make, to, calls } of rows) {
      await t.test(
        `${title}: served with two minutes left, refused with half a minute left`,
        async (t) => {
          running.pass(OVER_MS)
          t.equal((await check(running)).statusCode, 200)
          running.pass(58 * MINUTE_MS)
          await fault(running, make(running.sandbox.world.now()))
          const before = counts.exchanges
          for (let i = 0; i < 2; i++) t.match((await check(running)).json(), { state: to })
          t.equal(counts.exchanges - before, calls)
          running.pass(1.5 * MINUTE_MS)
          t.equal((await check(running)).statusCode, 502)
          await running.sandbox.admin('faults', undefined, 'DELETE')
          running.pass(5 * MINUTE_MS)
          t.equal((await check(running)).json().state, 'active')
        }
      )
    }
  }
)

t.test(
  'A14 An outage of an hour disconnects nobody, and does not hammer at the door',
  async (t) => {
    const running = await crowd(t, 2)
    const counts = watched(running)
    running.pass(30 * MINUTE_MS)
    await fault(running, { kind: 'drop-before', match: {} })
    const seen = new Set<string>()
    for (let minute = 0; minute < 60; minute++) {
      const answer = await check(running)
      t.match([answer.statusCode, answer.json().code], [502, 'upstream_unreachable'])
      seen.add((await view(running)).state)
      if (minute % 5 === 0) await running.app.upkeep.once()
      running.pass(MINUTE_MS)
    }
    t.same([...seen], ['active', 'degraded'])
    t.ok(counts.exchanges >= 10 && counts.exchanges <= 50, `${counts.exchanges} calls`)
    await running.sandbox.admin('faults', undefined, 'DELETE')
    running.pass(Date.parse((await view(running)).next_try_at) - running.sandbox.world.now() + 1)
    for (const user of ids(2)) t.equal((await check(running, user)).statusCode, 200)
    t.same(
      (await running.app.inject('/users/1/connections/jira/history'))
        .json()
        .map(({ to }: { to: string }) => to),
      ['active', 'degraded', 'active']
    )
    t.equal(
      running.lines().filter(({ event }) => event === 'connection_state_changed').length,
      4,
      'and the other one said nothing'
    )
    t.match(await stats(running), { family_revocations: 0 })
  }
)

for (const [title, minutes] of [
  ['ten minutes ahead', 10],
  ['ten minutes behind', -10],
  ['an hour behind', -60]
] as const) {
  t.test(
    `D10 An instance whose clock is ${title} causes no storm of refreshes, and nobody is disconnected`,
    async (t) => {
      const INTEGRATION_DB_URL = await databaseAt(t, `${folder(t)}/skew.db`)
      let clock = Date.now()
      const right = await connected(t, {
        env: { INTEGRATION_DB_URL },
        sandbox: { ...SMALL, users: people(1) },
        now: () => clock
      })
      const wrong = await build(
        t,
        { ...configured(right.sandbox.url), INTEGRATION_DB_URL },
        () => clock + minutes * MINUTE_MS
      )
      await connect(right, 1)
      await synced(right.app, 'jira', 1)
      const counts = watched(right)
      /** Who is used in which minute of each of six hours. */
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
            t.equal((await check({ app } as Built)).statusCode, 200)
          }
          if (minute % 60 === 0) for (const { app } of [right, wrong]) await app.upkeep.once()
        }
        const exchanges = counts.exchanges - before.exchanges
        t.ok(exchanges >= 5 && exchanges <= 10, `${how}: ${exchanges} refreshes in six hours`)
        t.ok(
          counts.refused - before.refused <= exchanges,
          `${how}: refused ${counts.refused - before.refused} times`
        )
      }
      t.match(await stats(right), { family_revocations: 0 })
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
  'A13 Consents given to an app that is no longer configured keep nobody else from being kept alive',
  async (t) => {
    const INTEGRATION_DB_URL = await databaseAt(t, `${folder(t)}/replaced.db`)
    let clock = Date.now()
    const clients = [
      ...CLIENTS,
      {
        ...CLIENTS[0],
        id: 'new-app',
        secret: SECRET,
        name: 'New',
        access: 'resource' as const,
        scopes: CLIENTS[0]?.scopes ?? [],
        redirectUris: () => true
      }
    ]
    const before = await connected(t, {
      env: { INTEGRATION_DB_URL, LOG_LEVEL: 'ERROR' },
      sandbox: { ...SMALL, users: people(52), clients },
      now: () => clock
    })
    for (const user of ids(51)) await connect(before, user)
    for (const user of ids(51)) await synced(before.app, 'jira', user)
    const after = await build(
      t,
      {
        ...configured(before.sandbox.url),
        INTEGRATION_DB_URL,
        LOG_LEVEL: 'ERROR',
        JIRA_OAUTH_CLIENT_ID: 'new-app'
      },
      () => clock
    )
    clock += 20 * DAY_MS
    await connect(after, 52)
    for (let day = 0; day < 120; day += 2) {
      clock += 2 * DAY_MS
      await after.app.upkeep.once()
    }
    t.match(await view(after, 1), { state: 'needs_reconnect' })
    t.equal((await check(after, 52)).statusCode, 200)
    t.match(await view(after, 52), { state: 'active' })
  }
)
