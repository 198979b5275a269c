import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { pickByScale } from '../auth/helper.ts'
import { copyDatabase } from '../database.ts'
import { buildTestApp, buildSandboxEnv, type TestApp } from '../helper.ts'
import type { ServiceProcess } from '../process/child.ts'
import { MINUTE_MS, HOUR_MS } from '../time.ts'
import type { TestContext } from '../types.ts'
import {
  checkConnection,
  CHECK_REQUEST,
  countExchanges,
  waitForFaultHit,
  startServiceWithClock,
  countOccurrences,
  createGrantFixture,
  countTokenCalls,
  injectTokenFault,
  waitUntil,
  type GrantFixture
} from './helper.ts'

const EXCHANGE_TIMEOUT_MS = 700
const LEASE_MS = 3 * EXCHANGE_TIMEOUT_MS
const KILL_COUNT = pickByScale(1, 50)
const REFRESHED_EVENT = '"event":"grant_refreshed"'
const ADVANCE_PAST_GRACE = { advance_ms: 11 * MINUTE_MS }

/** When to kill a process that was asked for something that needs a refresh. */
interface CrashStep {
  title: string
  fault?: [kind: string, delayMs?: number]
  /** Resolves at the moment to kill it. */
  waitForMoment: (place: GrantFixture, victim: ServiceProcess) => Promise<void>
  /**
   * True if the refresh has completed, so that the new pair must be stored even if the old one
   * is dead.
   */
  isRefreshComplete?: boolean
}

const crashSteps: CrashStep[] = [
  {
    title: 'before Atlassian has done anything',
    fault: ['hang'],
    waitForMoment: async ({ sandbox }) => {
      await waitForFaultHit(sandbox)
    }
  },
  {
    title: 'when Atlassian has rotated the tokens and not answered yet',
    fault: ['delay-after', 5_000],
    waitForMoment: async ({ sandbox }) => {
      const { ok } = countExchanges(sandbox)
      await waitUntil('Atlassian has rotated', () => countExchanges(sandbox).ok > ok)
    }
  },
  {
    title: 'at any moment',
    waitForMoment: async () => {
      await sleep(Math.random() * 25)
    }
  },
  {
    title: 'when the new tokens are saved',
    waitForMoment: async (_place, victim) => {
      const before = countOccurrences(victim.output(), REFRESHED_EVENT)
      await waitUntil(
        'the tokens are saved',
        () => countOccurrences(victim.output(), REFRESHED_EVENT) > before
      )
    },
    isRefreshComplete: true
  }
]

t.test(
  'A11: a service killed at any step of a refresh works again after a restart, without a new consent',
  async (t) => {
    const fixture = await createGrantFixture(t)
    const { sandbox, startService, readGrant, expireToken, makeDue } = fixture
    let service = await startService(EXCHANGE_TIMEOUT_MS)
    for (const { title, fault, waitForMoment, isRefreshComplete = false } of crashSteps) {
      for (let kill = 1; kill <= KILL_COUNT; kill++) {
        await expireToken()
        if (fault !== undefined) await injectTokenFault(sandbox, ...fault)
        const soon = waitForMoment(fixture, service)
        const unanswered = checkConnection(service)
        await soon
        await service.stop('SIGKILL')
        await unanswered
        await sandbox.admin('faults', undefined, 'DELETE')
        if (isRefreshComplete) await sandbox.admin('clock', ADVANCE_PAST_GRACE)
        if (fault !== undefined) {
          const { attempt_at: attemptAt, due_at: dueAt } = await readGrant()
          t.ok(attemptAt !== null && dueAt <= Date.now() + LEASE_MS, 'the attempt is recorded')
        }
        const before = countExchanges(sandbox)
        // In every second round there is no request, and maintenance repeats the refresh.
        const isUnasked = fault !== undefined && kill % 2 === 0
        if (isUnasked) await makeDue()

        service = await startService(EXCHANGE_TIMEOUT_MS)
        if (isUnasked) {
          await waitUntil('maintenance has repeated it', () =>
            service.output().includes(REFRESHED_EVENT)
          )
        }
        t.match(
          await checkConnection(service),
          { status: 200, body: { state: 'active', last_error: null } },
          `${title}, kill ${kill}`
        )
        if (isRefreshComplete) {
          t.same(countExchanges(sandbox), before, 'uses the saved tokens')
        }
      }
    }
    await expireToken()
    t.match(await checkConnection(service), { status: 200 })
    t.equal(sandbox.state.grants.countReuses(), 0)
    t.same(Object.keys(countExchanges(sandbox)), ['ok'])
    const history = (await (
      await fetch(`${service.url}/users/1/connections/jira/history`)
    ).json()) as Array<{ to: string }>
    t.notOk(history.some(({ to }) => to === 'needs_reconnect'))
  }
)

t.test(
  'A11: killed during a refresh and restarted after the old tokens expired: one call, then a new consent',
  async (t) => {
    const { sandbox, startService, expireToken } = await createGrantFixture(t)
    const victim = await startService(EXCHANGE_TIMEOUT_MS)
    await expireToken()
    await injectTokenFault(sandbox, 'delay-after', 5_000)
    const unanswered = checkConnection(victim)
    await waitUntil('Atlassian has rotated', () => countExchanges(sandbox).ok === 1)
    await victim.stop('SIGKILL')
    await unanswered
    await sandbox.admin('clock', ADVANCE_PAST_GRACE)
    const before = countTokenCalls(sandbox)

    const service = await startService(EXCHANGE_TIMEOUT_MS)
    for (let i = 0; i < 3; i++) {
      t.match(await checkConnection(service), { status: 409, body: { code: 'needs_reconnect' } })
    }
    t.equal(countTokenCalls(sandbox), before + 1)
    t.match(await getConnection(service), { state: 'needs_reconnect' })
    await service.stop()
    const again = await startService(EXCHANGE_TIMEOUT_MS)
    t.match(await checkConnection(again), { status: 409 })
    t.equal(countTokenCalls(sandbox), before + 1, 'no call after another restart')
  }
)

t.test(
  'T42 D12: a restored database whose tokens were replaced since: one call, then a new consent',
  async (t) => {
    const used = await startServiceWithClock(t)
    const { sandbox, advanceTime } = used
    const works = async () => {
      advanceTime(2 * HOUR_MS)
      t.equal((await used.app.inject(CHECK_REQUEST)).statusCode, 200)
    }
    await works()
    const restore = await copyServiceDatabase(t, used)
    await works()
    await works()
    await used.app.close()
    const before = countTokenCalls(sandbox)

    const { app } = await restore(t)
    for (let i = 0; i < 3; i++) {
      const answer = await app.inject(CHECK_REQUEST)
      t.equal(answer.statusCode, 409)
      t.match(answer.json(), { code: 'needs_reconnect' })
      advanceTime(HOUR_MS)
      await app.maintenance.runNow()
    }
    t.equal(countTokenCalls(sandbox), before + 1)
    t.match((await app.inject('/users/1/connections')).json(), {
      connections: [{ product: 'jira', state: 'needs_reconnect' }]
    })
  }
)

t.test(
  'T42 D12: a database restored from a backup whose tokens were replaced less than ten minutes ago works',
  async (t) => {
    const used = await startServiceWithClock(t)
    const { sandbox, advanceTime } = used
    advanceTime(2 * HOUR_MS)
    const restore = await copyServiceDatabase(t, used)
    t.equal((await used.app.inject(CHECK_REQUEST)).statusCode, 200)
    await used.app.close()
    advanceTime(9 * MINUTE_MS)

    const { app } = await restore(t)
    for (const ms of [0, 11 * MINUTE_MS, 2 * HOUR_MS]) {
      advanceTime(ms)
      t.equal((await app.inject(CHECK_REQUEST)).statusCode, 200)
    }
    t.same(countExchanges(sandbox), { ok: 3 })
    t.equal(sandbox.state.grants.countReuses(), 0)
  }
)

/** Copies the current database; the returned function starts a service on the copy. */
async function copyServiceDatabase(
  t: TestContext,
  { sandbox, file, url, now }: Awaited<ReturnType<typeof startServiceWithClock>>
): Promise<(t: TestContext) => Promise<TestApp>> {
  const copy = await copyDatabase(t, url, `${file}.copy`)
  return async (t) =>
    await buildTestApp(t, { ...buildSandboxEnv(sandbox.url), INTEGRATION_DB_URL: copy }, now)
}

async function getConnection({ url }: ServiceProcess): Promise<any> {
  return ((await (await fetch(`${url}/users/1/connections`)).json()) as any).connections[0]
}
