import type { Test } from 'tap'
import { createBudget, type Place } from '../../src/rate-budget/rate-budget.ts'
import type { Answer } from '../../src/lib/http-client.ts'
import type { Engine } from '../../src/store/engine.ts'
import { connecting, freshStore, grant, START } from './helper.ts'

const HERE: Place = { app: 'app', site: 'acme', endpoint: 'GET jira/search' }
const LOOKED_AT_AGAIN_MS = 1_100
const answer = (
  status: number,
  headers: Record<string, string> = {},
  values: unknown[] = []
): Answer => ({ status, headers, body: { values }, retryAfterMs: undefined })
const later = async (ms: number) => await new Promise((resolve) => setTimeout(resolve, ms))

/** What instances know of each other through the database, on every engine. */
export function sharedContract(t: Test, open: () => Engine | Promise<Engine>): void {
  t.test(
    'D10 budgets: a refusal that one instance has met holds every other, for as long as was named, whatever their clocks say',
    async (t) => {
      const {
        store: { budgets }
      } = await freshStore(t, open)
      const instance = (aheadMs: number) =>
        createBudget({ shared: budgets, now: () => Date.now() + aheadMs, hourlyPoints: 1_000_000 })
      const [one, slow, fast] = [instance(0), instance(-600_000), instance(600_000)]
      await one.call(HERE, { interactive: false }, async () =>
        answer(429, { 'retry-after': '60', 'ratelimit-reason': 'jira-quota-tenant-based' })
      )
      let calls = 0
      for (const other of [slow, fast]) {
        await t.rejects(
          other.call(
            { ...HERE, endpoint: 'GET jira/projects' },
            { interactive: true },
            async () => {
              calls++
              return answer(200)
            }
          ),
          { code: 'upstream_rate_limited' }
        )
        t.ok(Math.abs(other.waitMs(HERE, true) - 60_000) < 2_000, `${other.waitMs(HERE, true)} ms`)
        await other.call({ ...HERE, site: 'globex' }, { interactive: true }, async () =>
          answer(200)
        )
      }
      t.equal(calls, 0, 'nobody has asked Atlassian')
    }
  )

  t.test(
    'budgets: a short refusal is waited for by all instances, and then all of them go on',
    async (t) => {
      const {
        store: { budgets }
      } = await freshStore(t, open)
      const [one, other] = [0, 1].map(() =>
        createBudget({ shared: budgets, now: Date.now, hourlyPoints: 1_000_000 })
      )
      await one?.call(HERE, { interactive: false }, async () =>
        answer(429, { 'retry-after': '1', 'ratelimit-reason': 'jira-burst-based' })
      )
      const from = Date.now()
      const went = await Promise.all(
        [one, other].map(async (each) => {
          await each?.call(HERE, { interactive: true }, async () => answer(200))
          return Date.now() - from
        })
      )
      t.ok(
        went.every((ms) => ms > 900),
        `${went.join(' and ')} ms`
      )
    }
  )

  t.test(
    'budgets: the hour has one purse for all instances, and none says that more is left than Atlassian knows',
    async (t) => {
      const {
        store: { budgets }
      } = await freshStore(t, open)
      const [one, other] = [0, 1].map(() =>
        createBudget({ shared: budgets, now: () => START, hourlyPoints: 1_000 })
      )
      const spend = async (budget: typeof one, things: number, headers = {}) =>
        await budget?.call(HERE, { interactive: true }, async () =>
          answer(200, headers, Array.from({ length: things }))
        )
      await spend(one, 299)
      await later(LOOKED_AT_AGAIN_MS)
      await spend(one, 9)
      await spend(other, 99)
      t.equal(
        other?.points('app'),
        400,
        'three hundred are known of the other; what was just spent is told later'
      )
      await later(LOOKED_AT_AGAIN_MS)
      await spend(other, 0, { ratelimit: '"tenant-app-quota";r=200;t=1' })
      t.equal(other?.points('app'), 800)
      await later(LOOKED_AT_AGAIN_MS)
      await spend(other, 0)
      await spend(one, 0)
      t.ok((one?.points('app') ?? 0) >= 800, `${String(one?.points('app'))}`)
      await budgets.purge(START)
      t.equal((await budgets.look(['app'])).length, 1)
      await budgets.purge(START + 49 * 3_600_000)
      t.same(await budgets.look(['app']), [])
    }
  )

  t.test(
    'the turn of a connection is taken by one, whatever number of schedules look at it',
    async (t) => {
      const {
        store: { users, grants, connections }
      } = await freshStore(t, open)
      await users.save('a@b.co', null)
      await grants.connect(grant('g'), connecting())
      const due = await connections.due(new Date(START), 10)
      t.match(due, [{ userId: 1, provider: 'jira', dueAt: new Date(START) }])
      const next = new Date(START + 60_000)
      const taken = await Promise.all(
        Array.from(
          { length: 20 },
          async () => await connections.takeTurn(1, 'jira', new Date(START), next)
        )
      )
      t.equal(taken.filter(Boolean).length, 1)
      t.same(await connections.due(new Date(START), 10), [])
      t.equal(
        await connections.takeTurn(1, 'jira', new Date(START), next),
        false,
        'who comes late takes nothing'
      )
      t.equal(await connections.takeTurn(1, 'jira', next, null), true)
      t.same(await connections.due(new Date(START + 1e10), 10), [])
    }
  )
}
