import t from 'tap'
import { createTokenProvider } from '../../src/grants/access-token.ts'
import { decryptAccessToken } from '../../src/grants/encrypt.ts'
import { createMaintenanceJob } from '../../src/grants/maintenance-job.ts'
import type { Grant } from '../../src/store/repositories/grants.ts'
import { openEngine } from '../../src/store/open-engine.ts'
import { createStore } from '../../src/store/index.ts'
import { pickByScale } from '../auth/helper.ts'
import { SECOND_MS, MINUTE_MS, HOUR_MS } from '../time.ts'
import { TEST_SIGNER } from '../signatures.ts'
import {
  checkConnection,
  CHECK_REQUEST,
  countExchanges,
  waitForFaultHit,
  startServiceWithClock,
  createGrantFixture,
  injectTokenFault,
  waitUntil
} from './helper.ts'

const EXCHANGE_TIMEOUT_MS = 1_500
const LEASE_MS = 3 * EXCHANGE_TIMEOUT_MS
const SETTLE_MS = 2 * MINUTE_MS

t.test(
  'A10 T16: a hundred concurrent callers who need a refresh share one exchange, and all get a token',
  async (t) => {
    const { app, sandbox, advanceTime } = await startServiceWithClock(t)
    advanceTime(2 * HOUR_MS)
    const answers = await Promise.all(
      Array.from({ length: 100 }, async () => await app.inject(CHECK_REQUEST))
    )
    t.same(
      answers.filter(({ statusCode }) => statusCode !== 200).map(({ body }) => body),
      []
    )
    t.same(countExchanges(sandbox), { ok: 1 })
  }
)

t.test(
  'A10 T16: a hundred callers of four processes share one exchange, and the stored pair is the valid one',
  async (t) => {
    const { sandbox, startService, readGrant, expireToken } = await createGrantFixture(t)
    const services = await Promise.all(Array.from({ length: 4 }, async () => await startService()))
    const rounds = pickByScale(3, 20)
    for (let round = 1; round <= rounds; round++) {
      await expireToken()
      // Long enough for all callers to arrive during the exchange.
      await injectTokenFault(sandbox, 'delay', 200)
      const answers = await Promise.all(
        Array.from({ length: 25 }, () => services)
          .flat()
          .map(async (service) => await checkConnection(service))
      )
      t.same(
        answers.filter(({ status }) => status !== 200),
        [],
        `round ${round}`
      )
      t.same(countExchanges(sandbox), { ok: round })
      t.equal((await readGrant()).version, 1 + round)
    }
    t.equal(sandbox.state.grants.countReuses(), 0)
  }
)

for (const [kind, order] of [
  ['delay', 'after'],
  ['delay-after', 'before']
] as const) {
  t.test(
    `A12: an exchange that outlasts its lease and completes ${order} the newer one changes nothing`,
    async (t) => {
      const { app, sandbox, lines, url, now, advanceTime } = await startServiceWithClock(t)
      const engine = await openEngine(url)
      t.teardown(() => engine.close())
      const settings = {
        vault: app.vault,
        now,
        findClient: app.oauthClients.findById,
        onScopesChanged: async () => {}
      }
      // Disables the exchange deadline, which is shorter than the lease: this simulates a
      // suspended process.
      const slow = createTokenProvider({
        ...settings,
        store: app.store,
        http: async (call) => await app.httpClient({ ...call, timeoutMs: 5 * SECOND_MS }),
        exchangeTimeoutMs: 130,
        leaseTtlMs: 400
      })
      const quick = createTokenProvider({
        ...settings,
        store: createStore(engine, now, TEST_SIGNER),
        http: app.httpClient,
        exchangeTimeoutMs: 5 * SECOND_MS,
        leaseTtlMs: 15 * SECOND_MS
      })
      const id = (await app.store.connections.get(1, 'jira'))?.grant.id ?? ''
      const getStoredGrant = async () => (await app.store.grants.get(id)) as Grant
      const need = { log: app.log }
      const before = await getStoredGrant()
      advanceTime(2 * HOUR_MS)

      await injectTokenFault(sandbox, kind, 1_500)
      const late = slow.getAccessToken(id, need)
      late.catch(() => {})
      await waitForFaultHit(sandbox)
      const token = await quick.getAccessToken(id, need)
      const newer = await getStoredGrant()
      t.equal(decryptAccessToken(app.vault, newer), token)
      t.equal(await late, token, 'the late exchange returns the token that the other one stored')
      t.same(countExchanges(sandbox), { ok: 2 })
      const storedAfter = await getStoredGrant()
      t.equal(storedAfter.version, before.version + 1)
      t.equal(storedAfter.refreshToken, newer.refreshToken)
      t.equal(decryptAccessToken(app.vault, storedAfter), token)
      t.equal(lines().filter(({ event }) => event === 'grant_refresh_superseded').length, 1)
      t.ok(storedAfter.dueAt !== null && storedAfter.dueAt.getTime() <= now() + SETTLE_MS)

      const upkeep = createMaintenanceJob({
        store: app.store,
        vault: app.vault,
        tokenProvider: quick,
        now,
        auditRetentionDays: 0,
        keys: app.heartbeat,
        hasSchedule: false,
        clientIds: app.oauthClients.listIds,
        log: app.log
      })
      await upkeep.runNow()
      t.same(countExchanges(sandbox), { ok: 2 }, 'the other exchange has time to end')
      advanceTime(SETTLE_MS + SECOND_MS)
      await upkeep.runNow()
      await upkeep.runNow()
      t.same(countExchanges(sandbox), { ok: 3 })
      for (const ms of [11 * MINUTE_MS, 2 * HOUR_MS]) {
        advanceTime(ms)
        t.equal((await app.inject(CHECK_REQUEST)).statusCode, 200)
      }
      t.same(countExchanges(sandbox), { ok: 4 })
      t.equal(sandbox.state.grants.countReuses(), 0)
    }
  )
}

t.test(
  'A12: when a process is killed during a refresh, another one takes over soon after the lease ends',
  async (t) => {
    const { sandbox, startService, readGrant, expireToken } = await createGrantFixture(t)
    const waiting = await startService(EXCHANGE_TIMEOUT_MS)
    for (let i = 0; i < pickByScale(1, 10); i++) {
      const dying = await startService(EXCHANGE_TIMEOUT_MS)
      await expireToken()
      const { version } = await readGrant()
      await injectTokenFault(sandbox, 'hang')
      const unanswered = checkConnection(dying)
      await waitForFaultHit(sandbox)
      const answer = checkConnection(waiting)
      await dying.stop('SIGKILL')
      const from = performance.now()
      t.match(await answer, { status: 200, body: { state: 'active' } })
      t.ok(performance.now() - from < LEASE_MS + 5 * SECOND_MS)
      t.equal((await unanswered).status, 0)
      t.equal((await readGrant()).version, version + 1)
    }
    t.equal(sandbox.state.grants.countReuses(), 0)
  }
)

t.test(
  'A12: a process frozen during a refresh overwrites nothing when it resumes, and both processes continue',
  async (t) => {
    const { sandbox, startService, readGrant, expireToken, makeDue } = await createGrantFixture(t)
    const [frozen, other] = await Promise.all([
      startService(EXCHANGE_TIMEOUT_MS),
      startService(EXCHANGE_TIMEOUT_MS)
    ])
    for (let i = 0; i < pickByScale(1, 10); i++) {
      await expireToken()
      const before = await readGrant()
      const { ok } = countExchanges(sandbox)
      // Atlassian completes this exchange before the other one, or after it.
      await (i % 2 === 0
        ? injectTokenFault(sandbox, 'delay-after', 300)
        : injectTokenFault(sandbox, 'delay', LEASE_MS + SECOND_MS))
      const late = checkConnection(frozen)
      await waitForFaultHit(sandbox)
      process.kill(frozen.pid, 'SIGSTOP')
      t.match(await checkConnection(other), { status: 200 })
      const grantAfter = await readGrant()
      await waitUntil('Atlassian has completed both', () => countExchanges(sandbox).ok === ok + 2)
      process.kill(frozen.pid, 'SIGCONT')
      t.match(await late, { status: 200 })
      t.match(await readGrant(), {
        version: before.version + 1,
        refresh_token: grantAfter.refresh_token,
        access_token: grantAfter.access_token
      })
      t.ok(
        (await readGrant()).due_at <= Date.now() + SETTLE_MS,
        'one more exchange decides which pair is valid'
      )

      await makeDue()
      t.match(await checkConnection(frozen), { status: 200 })
      t.equal((await readGrant()).version, before.version + 2)
      await expireToken()
      t.match(await checkConnection(other), { status: 200 })
      t.match(await checkConnection(frozen), { status: 200, body: { state: 'active' } })
    }
    t.equal(sandbox.state.grants.countReuses(), 0)
  }
)

t.test(
  'A12: a process frozen for longer than the grace time of old tokens does not use them when it resumes',
  async (t) => {
    const { sandbox, startService, readGrant, expireToken } = await createGrantFixture(t)
    const [frozen, other] = await Promise.all([
      startService(EXCHANGE_TIMEOUT_MS),
      startService(EXCHANGE_TIMEOUT_MS)
    ])
    await expireToken()
    const { version } = await readGrant()
    await injectTokenFault(sandbox, 'delay-after', 300)
    const late = checkConnection(frozen)
    await waitForFaultHit(sandbox)
    process.kill(frozen.pid, 'SIGSTOP')
    t.match(await checkConnection(other), { status: 200 })
    await sandbox.admin('clock', { advance_ms: 11 * MINUTE_MS })
    process.kill(frozen.pid, 'SIGCONT')
    t.match(await late, { status: 200 })
    t.equal((await readGrant()).version, version + 1)
    t.same(countExchanges(sandbox), { ok: 2 })
    await expireToken()
    t.match(await checkConnection(other), { status: 200, body: { state: 'active' } })
    t.equal(sandbox.state.grants.countReuses(), 0)
  }
)

for (const caller of ['waits', 'has gone'] as const) {
  t.test(
    `E1: a service stopped during a refresh saves the tokens before it exits, though the caller ${caller}`,
    async (t) => {
      const { sandbox, startService, readGrant, expireToken } = await createGrantFixture(t)
      const stopping = await startService()
      await expireToken()
      const { version } = await readGrant()
      await injectTokenFault(sandbox, 'delay-after', 800)
      const hangUp = new AbortController()
      const answer = checkConnection(stopping, hangUp.signal)
      await waitForFaultHit(sandbox)
      if (caller === 'has gone') hangUp.abort()
      t.equal(await stopping.stop('SIGTERM'), 0)
      t.equal((await answer).status, caller === 'waits' ? 200 : 0)
      t.equal((await readGrant()).version, version + 1)
      await sandbox.admin('clock', { advance_ms: 11 * MINUTE_MS })

      t.match(await checkConnection(await startService()), {
        status: 200,
        body: { state: 'active' }
      })
      t.same(countExchanges(sandbox), { ok: 1 })
    }
  )
}
