import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Client } from '../../src/sandbox/oauth/clients.ts'
import type { Family, Grant, Pair } from '../../src/sandbox/oauth/grants.ts'
import { issue, parts } from '../../src/sandbox/oauth/tokens.ts'
import { DANA } from '../../src/sandbox/oauth/users.ts'
import { service, type Service } from '../auth/helper.ts'
import { databaseAt } from '../database.ts'
import { Browser, build, configured, synced, type Built } from '../helper.ts'
import { folder } from '../process/child.ts'
import { met } from './helper.ts'
import {
  ENDED,
  GATEWAY,
  GOOD_ENOUGH,
  OPERATORS,
  PASSING,
  type RefreshAnswer
} from '../fixtures/refresh-answers.ts'
import { CANARY } from '../fixtures/token-answers.ts'

const MINUTE_MS = 60_000
/** The token is over. */
const OVER_MS = 61 * MINUTE_MS
const TOKENS = { path: '/oauth/token', method: 'POST' }
const PAGE = 'project/search'

const check = async ({ app }: Built, user = 1) =>
  await app.inject({ method: 'POST', url: `/users/${user}/connections/jira/check` })
const view = async ({ app }: Built, user = 1, product = 'jira') =>
  (await app.inject(`/users/${user}/connections`))
    .json()
    .connections.find((each: { product: string }) => each.product === product)
const state = async (running: Built, user = 1, product = 'jira') =>
  (await view(running, user, product)).state as string
const history = async ({ app }: Built) =>
  (await app.inject('/users/1/connections/jira/history')).json() as Array<Record<string, unknown>>
const events = ({ lines }: Built) =>
  lines().filter(({ event }) => event === 'connection_state_changed').length
const fault = async ({ sandbox }: Service, what: object) =>
  await sandbox.admin('faults', { match: TOKENS, times: 1_000, ...what })
const clear = async ({ sandbox }: Service) => await sandbox.admin('faults', undefined, 'DELETE')
const pair = async ({ app }: Built) => {
  const { accessToken, refreshToken } = (await app.store.connections.get(1, 'jira'))?.grant ?? {}
  return [accessToken, refreshToken]
}

/** Waits for the time that the connection names, and a moment. */
async function waited(running: Service): Promise<void> {
  running.pass(Date.parse((await view(running)).next_try_at) - running.sandbox.world.now() + 1)
}

async function copy({ app }: Built, product = 'jira') {
  return await synced(
    app,
    product,
    (await app.inject({ method: 'POST', url: `/integrations/${product}/sync` })).json().id
  )
}

/** Asks for a run, and waits until it has ended or was put aside. */
async function settled({ app }: Built): Promise<Record<string, any>> {
  const { id } = (await app.inject({ method: 'POST', url: '/integrations/jira/sync' })).json()
  while (true) {
    const run = (await app.inject(`/integrations/jira/sync/runs/${id}`)).json()
    if (run.state !== 'queued' && run.state !== 'running') return run
    await sleep(10)
  }
}

async function connect(running: Service, user: number, account: string, product = 'jira') {
  const browser = new Browser(running.app)
  await browser.open(
    await browser.consent(product, {
      query: `&state=email:u${user}@example.com`,
      extra: `&sandbox_account=${account}`
    })
  )
}

/** Counts what arrives at the sandbox whose path has this part, answered or not. */
function arrivals(
  {
    sandbox: {
      world: { faults }
    }
  }: Service,
  part = TOKENS.path
): () => number {
  const take = faults.take.bind(faults)
  let count = 0
  faults.take = (method, path) => {
    if (path.endsWith(part)) count++
    return take(method, path)
  }
  return () => count
}

/** Two accounts at one app, and one of them at another app too. */
async function three(t: Test, env: NodeJS.ProcessEnv = {}): Promise<Service> {
  const running = await service(t, { UPSTREAM_ANSWER_TIMEOUT_MS: '500', ...env })
  await connect(running, 1, 'dana')
  await connect(running, 2, 'sam')
  await connect(running, 1, 'dana', 'confluence')
  for (const [i, product] of ['jira', 'jira', 'confluence'].entries()) {
    await synced(running.app, product, i + 1)
  }
  return running
}

/** The token is over, and the endpoint answers like this: what has to be true whatever it is. */
async function proveJudged(
  t: Test,
  running: Service,
  asked: () => number,
  { fault: make, to, code, calls, wait: [least, most] }: RefreshAnswer
): Promise<void> {
  running.pass(OVER_MS)
  const before = {
    asked: asked(),
    events: events(running),
    history: await history(running),
    pair: await pair(running),
    lines: running.lines().length
  }
  await fault(running, make(running.sandbox.world.now()))
  const answer = await check(running)
  t.equal(answer.statusCode, to === 'needs_reconnect' ? 409 : 502)
  t.match(answer.json(), { code, detail: /^[A-Z].*\.$/ })
  t.equal(asked() - before.asked, calls, 'asked as often as it helps')
  const shown = await view(running)
  t.match(shown, { state: to, last_error: answer.json().detail })
  t.equal(
    events(running) - before.events,
    to === 'misconfigured' ? 2 : 1,
    'one event for each connection that it concerns'
  )
  const [newest, ...older] = await history(running)
  t.match(newest, { from: 'active', to, code, detail: answer.json().detail })
  t.strictSame(older, before.history)
  t.strictSame(await pair(running), before.pair, 'the stored tokens are the same')
  if (to === 'needs_reconnect') {
    t.equal(shown.next_try_at, null)
    t.equal(answer.headers['retry-after'], undefined)
  } else {
    const seconds = (Date.parse(shown.next_try_at) - running.sandbox.world.now()) / 1000
    t.ok(seconds > least - 0.5 && seconds <= most, `${seconds} s`)
    t.ok(Math.abs(Number(answer.headers['retry-after']) - seconds) < 1.5)
  }
  const again = await check(running)
  t.match([again.statusCode, again.json().code], [answer.statusCode, answer.json().code])
  t.equal(asked() - before.asked, calls, 'and nobody is asked before the time')
  t.equal(await state(running, 2), to === 'misconfigured' ? to : 'active')
  t.equal(await state(running, 1, 'confluence'), 'active')
  const { raw } = running
  t.notOk(
    `${answer.body}${again.body}${JSON.stringify(shown)}${raw()}`.includes(CANARY),
    "Atlassian's words stay with Atlassian"
  )
  await clear(running)
}

t.test('A14 A15 An answer to a refresh that passes costs nobody a consent: with', async (t) => {
  const running = await three(t)
  const asked = arrivals(running)
  for (const [i, row] of PASSING.entries()) {
    await t.test(
      `${row.title} the connection is degraded, and works again at its time`,
      async (t) => {
        await proveJudged(t, running, asked, row)
        await waited(running)
        // By itself, or because somebody asks.
        if (i % 2 === 0) await running.app.upkeep.once()
        t.equal((await check(running)).statusCode, 200)
        t.match(await view(running), { state: 'active', last_error: null, next_try_at: null })
        t.match((await history(running))[0], { from: 'degraded', to: 'active', code: null })
      }
    )
  }
  t.match(await running.sandbox.admin('stats', undefined, 'GET'), { family_revocations: 0 })
})

t.test('A14 An answer that ends a consent is taken at its word, once: with', async (t) => {
  const running = await three(t)
  const asked = arrivals(running)
  for (const row of ENDED) {
    await t.test(
      `${row.title} the person has to connect again, and Atlassian is not asked any more`,
      async (t) => {
        await proveJudged(t, running, asked, row)
        const before = asked()
        running.pass(24 * 60 * MINUTE_MS)
        for (const find of [check, copy]) await find(running)
        await running.app.upkeep.once()
        t.equal(asked(), before)
        t.match(
          (
            await running.app.inject({
              method: 'POST',
              url: '/integrations/jira/connect',
              payload: { email: 'u1@example.com' }
            })
          ).json(),
          { connected: false }
        )
        await connect(running, 1, 'dana')
        t.equal(await state(running), 'active')
        t.match((await history(running))[0], { from: 'needs_reconnect', to: 'active' })
        t.equal((await check(running)).statusCode, 200)
      }
    )
  }
})

t.test(
  'A14 A refusal after a lost answer is believed once the token before it is refused too, and nobody is asked more often than that',
  async (t) => {
    const running = await three(t)
    const asked = arrivals(running)
    running.pass(OVER_MS)
    t.equal((await check(running)).statusCode, 200)
    await fault(running, {
      kind: 'status',
      status: 401,
      body: '',
      match: { path: 'accessible-resources' },
      times: 1
    })
    await fault(running, { kind: 'drop-before', times: 1 })
    await fault(running, { kind: 'status', status: 403, body: { error: 'invalid_grant' } })
    t.match((await check(running)).json(), { status: 409, code: 'needs_reconnect' })
    t.equal(
      asked(),
      4,
      'the refresh that went well, the newest token twice, the one before it once'
    )
  }
)

t.test("A14 An answer that is the operator's fault is nobody else's: with", async (t) => {
  const running = await three(t)
  const asked = arrivals(running)
  for (const row of OPERATORS) {
    await t.test(
      `${row.title} every connection of the app waits, no person is asked, and all of them work again together`,
      async (t) => {
        await proveJudged(t, running, asked, row)
        const before = asked()
        t.match((await check(running, 2)).json(), { status: 502, code: 'oauth_misconfigured' })
        t.equal(asked(), before, 'what is known of the app is known for all')
        for (const user of [1, 2]) {
          t.match(
            (
              await running.app.inject({
                method: 'POST',
                url: '/integrations/jira/connect',
                payload: { email: `u${user}@example.com` }
              })
            ).json(),
            { connected: true }
          )
        }
        await waited(running)
        t.equal((await check(running)).statusCode, 200)
        t.same([await state(running), await state(running, 2)], ['active', 'active'])
        t.equal(asked() - before, 1, 'one of them was enough to know')
      }
    )
  }
})

t.test(
  'A14 A wrong secret that is corrected, at Atlassian or in the settings, is right for all connections of the app',
  async (t) => {
    const INTEGRATION_DB_URL = await databaseAt(t, `${folder(t)}/secret.db`)
    const running = await three(t, { INTEGRATION_DB_URL })
    const { clients } = running.sandbox.world
    const right = clients.get('jira-app') as Client
    const states = async () => [
      await state(running),
      await state(running, 2),
      await state(running, 1, 'confluence')
    ]
    running.pass(OVER_MS)
    clients.set(right.id, { ...right, secret: 'another' })
    t.equal((await check(running, 2)).statusCode, 502)
    t.same(await states(), ['misconfigured', 'misconfigured', 'active'])
    const corrected = await build(
      t,
      {
        ...configured(running.sandbox.url),
        INTEGRATION_DB_URL,
        JIRA_OAUTH_CLIENT_SECRET: 'another'
      },
      running.sandbox.world.now
    )
    await corrected.app.listen({ port: 0, host: '127.0.0.1' })
    t.equal((await check(corrected)).statusCode, 200, 'and nobody waits after a start')
    t.same(await states(), ['active', 'active', 'active'])
    clients.set(right.id, right)
    running.pass(OVER_MS)
    t.equal((await check(corrected)).statusCode, 502)
    t.same(await states(), ['misconfigured', 'misconfigured', 'active'])
    await waited(running)
    t.equal((await check(running, 2)).statusCode, 200)
    t.same(await states(), ['active', 'active', 'active'])
  }
)

t.test('A15 An odd answer to a refresh that is good enough is gone on with: with', async (t) => {
  const running = await three(t)
  const [asked, sites] = [arrivals(running), arrivals(running, 'accessible-resources')]
  const { world } = running.sandbox
  for (const [title, oddity] of Object.entries(GOOD_ENOUGH)) {
    await t.test(
      `${title} the connection stays what it is, and its next refresh comes in time`,
      async (t) => {
        running.pass(OVER_MS)
        t.equal((await check(running)).statusCode, 200)
        running.pass(OVER_MS)
        const grant = world.grants.find('jira-app', DANA.accountId) as Grant
        const family = [...grant.families.values()].at(-1) as Family
        const pair = [...family.pairs.values()].at(-1) as Pair
        const before = {
          asked: asked(),
          sites: sites(),
          events: events(running),
          scopes: (await view(running)).scopes
        }
        await fault(running, {
          kind: 'status',
          status: 200,
          body: { ...issue(parts(world), grant, { family, pair }), ...oddity },
          times: 1
        })
        for (let i = 0; i < 2; i++) t.equal((await check(running)).statusCode, 200)
        t.match(await view(running), { state: 'active', last_error: null, scopes: before.scopes })
        running.pass(OVER_MS)
        t.equal((await check(running)).statusCode, 200)
        t.same(
          [asked() - before.asked, sites() - before.sites],
          [2, 3],
          'no token was used that was over'
        )
        t.equal(events(running), before.events)
        t.notOk(running.raw().includes(CANARY))
      }
    )
  }
})

t.test('What the gateway answers to a call decides whether a refresh helps: with', async (t) => {
  const running = await three(t)
  const [asked, pages] = [arrivals(running), arrivals(running, PAGE)]
  for (const { title, fault: what, state: becomes, error, calls, refreshes } of GATEWAY) {
    await t.test(
      `${title} to a good token the run ends up ${becomes}${error === null ? '' : ` as ${error}`}, ${refreshes === 0 ? 'and nothing is' : 'and once it is'} refreshed`,
      async (t) => {
        const before = [asked(), pages()]
        await fault(running, { times: 1, ...what, match: { path: PAGE } })
        const run = await settled(running)
        t.match(run, {
          state: becomes,
          error: error === null ? null : { code: error, detail: /\.$/ }
        })
        t.same([asked() - (before[0] ?? 0), pages() - (before[1] ?? 0)], [refreshes, calls])
        await clear(running)
        t.equal((await check(running)).json().state, error === 'scope_missing' ? error : 'active')
        if (becomes === 'parked') {
          const seconds = (Date.parse(run.next_run_at) - running.sandbox.world.now()) / 1000
          t.ok(seconds > 3590 && seconds < 3610, `it goes on in ${seconds} s`)
          t.match(
            await settled(running),
            { id: run.id, state: 'parked' },
            'and nobody is asked before'
          )
          t.equal(pages() - (before[1] ?? 0), calls)
          running.pass(OVER_MS)
          t.match(await copy(running), { id: run.id, state: 'succeeded' }, 'the same run goes on')
        }
        t.match(await copy(running), { state: 'succeeded' })
        t.equal(await state(running), 'active')
        t.notOk(running.raw().includes(CANARY))
      }
    )
  }
})

t.test('403 and 404 are worth a refresh only where the token was over by then', async (t) => {
  const running = await three(t)
  const [asked, pages] = [arrivals(running), arrivals(running, PAGE)]
  for (const { title, fault: what } of GATEWAY.filter(({ title }) =>
    /^(403|404|410)/.test(title)
  )) {
    const helps = /^40/.test(title)
    await t.test(
      `${title}, an hour late: ${helps ? 'refreshed and asked again' : 'taken at its word'}`,
      async (t) => {
        const before = [asked(), pages()]
        await fault(running, { ...what, delay_ms: 100, times: 1, match: { path: PAGE } })
        const { id } = (
          await running.app.inject({ method: 'POST', url: '/integrations/jira/sync' })
        ).json()
        // The call is under way when its token's time ends.
        await met(running.sandbox)
        running.pass(OVER_MS)
        t.equal((await synced(running.app, 'jira', id)).state, helps ? 'succeeded' : 'partial')
        t.equal(pages() - (before[1] ?? 0), helps ? 2 : 1)
        t.equal(asked() - (before[0] ?? 0), 1, 'once, for this or for what comes after it')
        await copy(running)
      }
    )
  }
})
