import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { createRateBudget } from '../../src/rate-budget/rate-budget.ts'
import type { CallTarget } from '../../src/rate-budget/target.ts'
import type { HttpResponse } from '../../src/lib/http-client.ts'
import type { Engine } from '../../src/store/engine.ts'
import { createNewConnection, createTestStore, createGrant, START_MS } from './helper.ts'

const CALL_TARGET: CallTarget = { app: 'app', site: 'acme', endpoint: 'GET jira/search' }
const POLL_WAIT_MS = 1_100
const createResponse = (
  status: number,
  headers: Record<string, string> = {},
  values: unknown[] = []
): HttpResponse => ({ status, headers, body: { values }, retryAfterMs: undefined })

/** Store contract of every engine: state that instances share through the database. */
export function defineSharedContract(t: Test, open: () => Engine | Promise<Engine>): void {
  t.test(
    'D10 budgets: a refusal at one instance blocks all instances for the stated time, whatever their clocks',
    async (t) => {
      const {
        store: { rateBudgets }
      } = await createTestStore(t, open)
      const instance = (aheadMs: number) =>
        createRateBudget({
          shared: rateBudgets,
          now: () => Date.now() + aheadMs,
          hourlyPoints: 1_000_000
        })
      const [one, slow, fast] = [instance(0), instance(-600_000), instance(600_000)]
      await one.call(CALL_TARGET, { isInteractive: false }, async () =>
        createResponse(429, { 'retry-after': '60', 'ratelimit-reason': 'jira-quota-tenant-based' })
      )
      let calls = 0
      for (const other of [slow, fast]) {
        await t.rejects(
          other.call(
            { ...CALL_TARGET, endpoint: 'GET jira/projects' },
            { isInteractive: true },
            async () => {
              calls++
              return createResponse(200)
            }
          ),
          { code: 'upstream_rate_limited' }
        )
        t.ok(
          Math.abs(other.getWaitMs(CALL_TARGET, true) - 60_000) < 2_000,
          `${other.getWaitMs(CALL_TARGET, true)} ms`
        )
        await other.call({ ...CALL_TARGET, site: 'globex' }, { isInteractive: true }, async () =>
          createResponse(200)
        )
      }
      t.equal(calls, 0, 'no call to Atlassian')
    }
  )

  t.test('budgets: all instances wait for a short refusal and then continue', async (t) => {
    const {
      store: { rateBudgets }
    } = await createTestStore(t, open)
    const [one, other] = [0, 1].map(() =>
      createRateBudget({ shared: rateBudgets, now: Date.now, hourlyPoints: 1_000_000 })
    )
    await one?.call(CALL_TARGET, { isInteractive: false }, async () =>
      createResponse(429, { 'retry-after': '1', 'ratelimit-reason': 'jira-burst-based' })
    )
    const from = Date.now()
    const elapsed = await Promise.all(
      [one, other].map(async (each) => {
        await each?.call(CALL_TARGET, { isInteractive: true }, async () => createResponse(200))
        return Date.now() - from
      })
    )
    t.ok(
      elapsed.every((ms) => ms > 900),
      `${elapsed.join(' and ')} ms`
    )
  })

  t.test(
    'budgets: instances share the hourly points, and none assumes more than Atlassian reports',
    async (t) => {
      const {
        store: { rateBudgets }
      } = await createTestStore(t, open)
      const [one, other] = [0, 1].map(() =>
        createRateBudget({ shared: rateBudgets, now: () => START_MS, hourlyPoints: 1_000 })
      )
      const spend = async (budget: typeof one, itemCount: number, headers = {}) =>
        await budget?.call(CALL_TARGET, { isInteractive: true }, async () =>
          createResponse(200, headers, Array.from({ length: itemCount }))
        )
      await spend(one, 299)
      await sleep(POLL_WAIT_MS)
      await spend(one, 9)
      await spend(other, 99)
      t.equal(
        other?.getUsedPoints('app'),
        400,
        'the other instance published three hundred; recent calls are published later'
      )
      await sleep(POLL_WAIT_MS)
      await spend(other, 0, { ratelimit: '"global-app-quota";r=200;t=1' })
      t.equal(other?.getUsedPoints('app'), 800)
      await sleep(POLL_WAIT_MS)
      await spend(other, 0)
      await spend(one, 0)
      t.ok((one?.getUsedPoints('app') ?? 0) >= 800, `${String(one?.getUsedPoints('app'))}`)
      await rateBudgets.purge(START_MS)
      t.equal((await rateBudgets.listByNames(['app'])).length, 1)
      await rateBudgets.purge(START_MS + 49 * 3_600_000)
      t.same(await rateBudgets.listByNames(['app']), [])
    }
  )

  t.test('one schedule claims a connection, however many schedules check it', async (t) => {
    const {
      store: { users, grants, connections }
    } = await createTestStore(t, open)
    await users.findOrCreate('a@b.co', null)
    await grants.connect(createGrant('g'), createNewConnection())
    const due = await connections.listDue(new Date(START_MS), 10)
    t.match(due, [{ userId: 1, provider: 'jira', dueAt: new Date(START_MS) }])
    const next = new Date(START_MS + 60_000)
    const results = await Promise.all(
      Array.from(
        { length: 20 },
        async () => await connections.claimSchedule(1, 'jira', new Date(START_MS), next)
      )
    )
    t.equal(results.filter(Boolean).length, 1)
    t.same(await connections.listDue(new Date(START_MS), 10), [])
    t.equal(
      await connections.claimSchedule(1, 'jira', new Date(START_MS), next),
      false,
      'a late schedule claims nothing'
    )
    t.equal(await connections.claimSchedule(1, 'jira', next, null), true)
    t.same(await connections.listDue(new Date(START_MS + 1e10), 10), [])
  })
}
