import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { SandboxClient } from '../../src/sandbox/oauth/clients.ts'
import type { TokenFamily, SandboxGrant, TokenPair } from '../../src/sandbox/oauth/grants.ts'
import { issueTokens, tokenServices } from '../../src/sandbox/oauth/tokens.ts'
import { DANA } from '../../src/sandbox/oauth/users.ts'
import { startTestService, type TestService } from '../auth/helper.ts'
import { ensureDatabase } from '../database.ts'
import { Browser, buildTestApp, buildSandboxEnv, waitForRun, type TestApp } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { MINUTE_MS } from '../time.ts'
import { waitForFaultHit, TOKEN_ENDPOINT, TOKEN_EXPIRED_MS } from './helper.ts'
import {
  CONSENT_ENDING_CASES,
  GATEWAY_CASES,
  TOLERATED_REFRESH_FIELDS,
  MISCONFIGURATION_CASES,
  TRANSIENT_CASES,
  type RefreshCase
} from '../fixtures/refresh-answers.ts'
import { CANARY } from '../fixtures/token-answers.ts'

const PROJECT_LISTING_PATH = 'project/search'

const checkConnection = async ({ app }: TestApp, user = 1) =>
  await app.inject({ method: 'POST', url: `/users/${user}/connections/jira/check` })
const getConnection = async ({ app }: TestApp, user = 1, product = 'jira') =>
  (await app.inject(`/users/${user}/connections`))
    .json()
    .connections.find((each: { product: string }) => each.product === product)
const getConnectionState = async (running: TestApp, user = 1, product = 'jira') =>
  (await getConnection(running, user, product)).state as string
const getConnectionHistory = async ({ app }: TestApp) =>
  (await app.inject('/users/1/connections/jira/history')).json() as Array<Record<string, unknown>>
const countStateEvents = ({ lines }: TestApp) =>
  lines().filter(({ event }) => event === 'connection_state_changed').length
const injectFault = async ({ sandbox }: TestService, what: object) =>
  await sandbox.admin('faults', { match: TOKEN_ENDPOINT, times: 1_000, ...what })
const clearFaults = async ({ sandbox }: TestService) =>
  await sandbox.admin('faults', undefined, 'DELETE')
const getTokenPair = async ({ app }: TestApp) => {
  const { accessToken, refreshToken } = (await app.store.connections.get(1, 'jira'))?.grant ?? {}
  return [accessToken, refreshToken]
}

/** Moves the clock just past the connection's retry time. */
async function advanceToNextTry(running: TestService): Promise<void> {
  running.advanceTime(
    Date.parse((await getConnection(running)).next_try_at) - running.sandbox.state.now() + 1
  )
}

async function runSync({ app }: TestApp, product = 'jira') {
  return await waitForRun(
    app,
    product,
    (await app.inject({ method: 'POST', url: `/integrations/${product}/sync` })).json().id
  )
}

/** Starts a run, and waits until it has ended or is parked. */
async function runSyncUntilStopped({ app }: TestApp): Promise<Record<string, any>> {
  const { id } = (await app.inject({ method: 'POST', url: '/integrations/jira/sync' })).json()
  while (true) {
    const run = (await app.inject(`/integrations/jira/sync/runs/${id}`)).json()
    if (run.state !== 'queued' && run.state !== 'running') return run
    await sleep(10)
  }
}

async function connectUser(running: TestService, user: number, account: string, product = 'jira') {
  const browser = new Browser(running.app)
  await browser.open(
    await browser.consent(product, {
      query: `&state=email:u${user}@example.com`,
      extra: `&sandbox_account=${account}`
    })
  )
}

/** Counts requests to the sandbox whose path contains this text, answered or not. */
function countRequests(
  {
    sandbox: {
      state: { faults }
    }
  }: TestService,
  part = TOKEN_ENDPOINT.path
): () => number {
  const take = faults.take.bind(faults)
  let count = 0
  faults.take = (method, path) => {
    if (path.endsWith(part)) count++
    return take(method, path)
  }
  return () => count
}

/** Two accounts at one client, and one of them at another client too. */
async function connectThreeAccounts(t: Test, env: NodeJS.ProcessEnv = {}): Promise<TestService> {
  const running = await startTestService(t, { UPSTREAM_ANSWER_TIMEOUT_MS: '500', ...env })
  await connectUser(running, 1, 'dana')
  await connectUser(running, 2, 'sam')
  await connectUser(running, 1, 'dana', 'confluence')
  for (const [i, product] of ['jira', 'jira', 'confluence'].entries()) {
    await waitForRun(running.app, product, i + 1)
  }
  return running
}

/** Common assertions for an expired token and this token endpoint response. */
async function assertRefreshFailure(
  t: Test,
  running: TestService,
  getRequestCount: () => number,
  { fault: make, to, code, calls, wait: [least, most] }: RefreshCase
): Promise<void> {
  running.advanceTime(TOKEN_EXPIRED_MS)
  const before = {
    asked: getRequestCount(),
    events: countStateEvents(running),
    history: await getConnectionHistory(running),
    pair: await getTokenPair(running),
    lines: running.lines().length
  }
  await injectFault(running, make(running.sandbox.state.now()))
  const answer = await checkConnection(running)
  t.equal(answer.statusCode, to === 'needs_reconnect' ? 409 : 502)
  t.match(answer.json(), { code, detail: /^[A-Z].*\.$/ })
  t.equal(getRequestCount() - before.asked, calls, 'the expected number of calls')
  const connectionAfter = await getConnection(running)
  t.match(connectionAfter, { state: to, last_error: answer.json().detail })
  t.equal(
    countStateEvents(running) - before.events,
    to === 'misconfigured' ? 2 : 1,
    'one event for each affected connection'
  )
  const [newest, ...older] = await getConnectionHistory(running)
  t.match(newest, { from: 'active', to, code, detail: answer.json().detail })
  t.strictSame(older, before.history)
  t.strictSame(await getTokenPair(running), before.pair, 'the stored tokens are the same')
  if (to === 'needs_reconnect') {
    t.equal(connectionAfter.next_try_at, null)
    t.equal(answer.headers['retry-after'], undefined)
  } else {
    const seconds = (Date.parse(connectionAfter.next_try_at) - running.sandbox.state.now()) / 1000
    t.ok(seconds > least - 0.5 && seconds <= most, `${seconds} s`)
    t.ok(Math.abs(Number(answer.headers['retry-after']) - seconds) < 1.5)
  }
  const again = await checkConnection(running)
  t.match([again.statusCode, again.json().code], [answer.statusCode, answer.json().code])
  t.equal(getRequestCount() - before.asked, calls, 'no call before the retry time')
  t.equal(await getConnectionState(running, 2), to === 'misconfigured' ? to : 'active')
  t.equal(await getConnectionState(running, 1, 'confluence'), 'active')
  const { logText } = running
  t.notOk(
    `${answer.body}${again.body}${JSON.stringify(connectionAfter)}${logText()}`.includes(CANARY),
    "Atlassian's error text is not passed on"
  )
  await clearFaults(running)
}

t.test('A14 A15 A transient refresh error ends no consent: with', async (t) => {
  const running = await connectThreeAccounts(t)
  const getRequestCount = countRequests(running)
  for (const [i, row] of TRANSIENT_CASES.entries()) {
    await t.test(
      `${row.title} the connection is degraded, and works again at its retry time`,
      async (t) => {
        await assertRefreshFailure(t, running, getRequestCount, row)
        await advanceToNextTry(running)
        // Refresh by maintenance, or on request.
        if (i % 2 === 0) await running.app.maintenance.runNow()
        t.equal((await checkConnection(running)).statusCode, 200)
        t.match(await getConnection(running), {
          state: 'active',
          last_error: null,
          next_try_at: null
        })
        t.match((await getConnectionHistory(running))[0], {
          from: 'degraded',
          to: 'active',
          code: null
        })
      }
    )
  }
  t.match(await running.sandbox.admin('stats', undefined, 'GET'), { family_revocations: 0 })
})

t.test('A14 A response that ends a consent is final, and is requested once: with', async (t) => {
  const running = await connectThreeAccounts(t)
  const getRequestCount = countRequests(running)
  for (const row of CONSENT_ENDING_CASES) {
    await t.test(
      `${row.title} the person has to connect again, and Atlassian is not called again`,
      async (t) => {
        await assertRefreshFailure(t, running, getRequestCount, row)
        const before = getRequestCount()
        running.advanceTime(24 * 60 * MINUTE_MS)
        for (const find of [checkConnection, runSync]) await find(running)
        await running.app.maintenance.runNow()
        t.equal(getRequestCount(), before)
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
        await connectUser(running, 1, 'dana')
        t.equal(await getConnectionState(running), 'active')
        t.match((await getConnectionHistory(running))[0], { from: 'needs_reconnect', to: 'active' })
        t.equal((await checkConnection(running)).statusCode, 200)
        // It would refresh the token that the next case expires.
        const [run] = (await running.app.inject('/integrations/jira/sync/runs?owner_id=1')).json()
        await waitForRun(running.app, 'jira', run.id)
      }
    )
  }
})

t.test(
  'A14 A refusal after a lost response is final only once the previous token is refused too',
  async (t) => {
    const running = await connectThreeAccounts(t)
    const getRequestCount = countRequests(running)
    running.advanceTime(TOKEN_EXPIRED_MS)
    t.equal((await checkConnection(running)).statusCode, 200)
    await injectFault(running, {
      kind: 'status',
      status: 401,
      body: '',
      match: { path: 'accessible-resources' },
      times: 1
    })
    await injectFault(running, { kind: 'drop-before', times: 1 })
    await injectFault(running, { kind: 'status', status: 403, body: { error: 'invalid_grant' } })
    t.match((await checkConnection(running)).json(), { status: 409, code: 'needs_reconnect' })
    t.equal(
      getRequestCount(),
      4,
      'the successful refresh, the newest token twice, the previous one once'
    )
  }
)

t.test('A14 A configuration error affects the app and no consent: with', async (t) => {
  const running = await connectThreeAccounts(t)
  const getRequestCount = countRequests(running)
  for (const row of MISCONFIGURATION_CASES) {
    await t.test(
      `${row.title} every connection of the app waits, nobody has to reconnect, and all recover together`,
      async (t) => {
        await assertRefreshFailure(t, running, getRequestCount, row)
        const before = getRequestCount()
        t.match((await checkConnection(running, 2)).json(), {
          status: 502,
          code: 'oauth_misconfigured'
        })
        t.equal(getRequestCount(), before, 'the state of the app applies to all its connections')
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
        await advanceToNextTry(running)
        t.equal((await checkConnection(running)).statusCode, 200)
        t.same(
          [await getConnectionState(running), await getConnectionState(running, 2)],
          ['active', 'active']
        )
        t.equal(getRequestCount() - before, 1, 'one connection was enough to detect it')
      }
    )
  }
})

t.test(
  'A14 Correcting a wrong secret, at Atlassian or in the settings, recovers all connections of the app',
  async (t) => {
    const INTEGRATION_DB_URL = await ensureDatabase(t, `${createTempFolder(t)}/secret.db`)
    const running = await connectThreeAccounts(t, { INTEGRATION_DB_URL })
    const { clients } = running.sandbox.state
    const right = clients.get('jira-app') as SandboxClient
    const states = async () => [
      await getConnectionState(running),
      await getConnectionState(running, 2),
      await getConnectionState(running, 1, 'confluence')
    ]
    running.advanceTime(TOKEN_EXPIRED_MS)
    clients.set(right.id, { ...right, secret: 'another' })
    t.equal((await checkConnection(running, 2)).statusCode, 502)
    t.same(await states(), ['misconfigured', 'misconfigured', 'active'])
    const corrected = await buildTestApp(
      t,
      {
        ...buildSandboxEnv(running.sandbox.url),
        INTEGRATION_DB_URL,
        JIRA_OAUTH_CLIENT_SECRET: 'another'
      },
      running.sandbox.state.now
    )
    await corrected.app.listen({ port: 0, host: '127.0.0.1' })
    t.equal((await checkConnection(corrected)).statusCode, 200, 'no connection waits after a start')
    t.same(await states(), ['active', 'active', 'active'])
    clients.set(right.id, right)
    running.advanceTime(TOKEN_EXPIRED_MS)
    t.equal((await checkConnection(corrected)).statusCode, 502)
    t.same(await states(), ['misconfigured', 'misconfigured', 'active'])
    await advanceToNextTry(running)
    t.equal((await checkConnection(running, 2)).statusCode, 200)
    t.same(await states(), ['active', 'active', 'active'])
  }
)

t.test('A15 An unusual but valid refresh response is accepted: with', async (t) => {
  const running = await connectThreeAccounts(t)
  const [getRequestCount, sites] = [
    countRequests(running),
    countRequests(running, 'accessible-resources')
  ]
  const { state: sandboxState } = running.sandbox
  for (const [title, oddity] of Object.entries(TOLERATED_REFRESH_FIELDS)) {
    await t.test(
      `${title} the connection keeps its state, and its next refresh is on time`,
      async (t) => {
        running.advanceTime(TOKEN_EXPIRED_MS)
        t.equal((await checkConnection(running)).statusCode, 200)
        running.advanceTime(TOKEN_EXPIRED_MS)
        const grant = sandboxState.grants.find('jira-app', DANA.accountId) as SandboxGrant
        const family = [...grant.families.values()].at(-1) as TokenFamily
        const pair = [...family.pairs.values()].at(-1) as TokenPair
        const before = {
          asked: getRequestCount(),
          sites: sites(),
          events: countStateEvents(running),
          scopes: (await getConnection(running)).scopes
        }
        await injectFault(running, {
          kind: 'status',
          status: 200,
          body: { ...issueTokens(tokenServices(sandboxState), grant, { family, pair }), ...oddity },
          times: 1
        })
        for (let i = 0; i < 2; i++) t.equal((await checkConnection(running)).statusCode, 200)
        t.match(await getConnection(running), {
          state: 'active',
          last_error: null,
          scopes: before.scopes
        })
        running.advanceTime(TOKEN_EXPIRED_MS)
        t.equal((await checkConnection(running)).statusCode, 200)
        t.same(
          [getRequestCount() - before.asked, sites() - before.sites],
          [2, 3],
          'no expired token was used'
        )
        t.equal(countStateEvents(running), before.events)
        t.notOk(running.logText().includes(CANARY))
      }
    )
  }
})

t.test("The gateway's response to a call decides whether to refresh: with", async (t) => {
  const running = await connectThreeAccounts(t)
  const [getRequestCount, pages] = [
    countRequests(running),
    countRequests(running, PROJECT_LISTING_PATH)
  ]
  for (const { title, fault: what, state: becomes, error, calls, refreshes } of GATEWAY_CASES) {
    const reason = error === null ? '' : ` as ${error}`
    await t.test(
      `${title} to a good token the run is ${becomes}${reason} after ${refreshes} refreshes`,
      async (t) => {
        const before = [getRequestCount(), pages()]
        await injectFault(running, { times: 1, ...what, match: { path: PROJECT_LISTING_PATH } })
        const run = await runSyncUntilStopped(running)
        t.match(run, {
          state: becomes,
          error: error === null ? null : { code: error, detail: /\.$/ }
        })
        t.same(
          [getRequestCount() - (before[0] ?? 0), pages() - (before[1] ?? 0)],
          [refreshes, calls]
        )
        await clearFaults(running)
        t.equal(
          (await checkConnection(running)).json().state,
          error === 'scope_missing' ? error : 'active'
        )
        if (becomes === 'parked') {
          const seconds = (Date.parse(run.next_run_at) - running.sandbox.state.now()) / 1000
          t.ok(seconds > 3590 && seconds < 3610, `continues in ${seconds} s`)
          t.match(
            await runSyncUntilStopped(running),
            { id: run.id, state: 'parked' },
            'no earlier call'
          )
          t.equal(pages() - (before[1] ?? 0), calls)
          running.advanceTime(TOKEN_EXPIRED_MS)
          t.match(
            await runSync(running),
            { id: run.id, state: 'succeeded' },
            'the same run continues'
          )
        }
        t.match(await runSync(running), { state: 'succeeded' })
        t.equal(await getConnectionState(running), 'active')
        t.notOk(running.logText().includes(CANARY))
      }
    )
  }
})

t.test('403 and 404 cause a refresh only if the token had expired by then', async (t) => {
  const running = await connectThreeAccounts(t)
  const [getRequestCount, pages] = [
    countRequests(running),
    countRequests(running, PROJECT_LISTING_PATH)
  ]
  for (const { title, fault: what } of GATEWAY_CASES.filter(({ title }) =>
    /^(403|404|410)/.test(title)
  )) {
    const helps = /^40/.test(title)
    await t.test(
      `${title}, an hour late: ${helps ? 'refreshed and asked again' : 'taken at its word'}`,
      async (t) => {
        const before = [getRequestCount(), pages()]
        await injectFault(running, {
          ...what,
          delay_ms: 100,
          times: 1,
          match: { path: PROJECT_LISTING_PATH }
        })
        const { id } = (
          await running.app.inject({ method: 'POST', url: '/integrations/jira/sync' })
        ).json()
        // The token expires during the call.
        await waitForFaultHit(running.sandbox)
        running.advanceTime(TOKEN_EXPIRED_MS)
        t.equal((await waitForRun(running.app, 'jira', id)).state, helps ? 'succeeded' : 'partial')
        t.equal(pages() - (before[1] ?? 0), helps ? 2 : 1)
        t.equal(getRequestCount() - (before[0] ?? 0), 1, 'once, for this call or the next')
        await runSync(running)
      }
    )
  }
})
