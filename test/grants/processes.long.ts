import t from 'tap'
import { createAccess } from '../../src/grants/access-token.ts'
import { openAccess } from '../../src/grants/encrypt.ts'
import { createUpkeep } from '../../src/grants/maintenance-job.ts'
import type { Grant } from '../../src/store/repositories/grants.ts'
import { openEngine } from '../../src/store/engine.ts'
import { createStore } from '../../src/store/index.ts'
import { many } from '../auth/helper.ts'
import {
  check,
  CHECK,
  exchanges,
  HOUR_MS,
  met,
  MINUTE_MS,
  moving,
  place,
  SECOND_MS,
  tokenFault,
  until
} from './helper.ts'

const ANSWER_MS = 1_500
const LEASE_MS = 3 * ANSWER_MS
const SETTLE_MS = 2 * MINUTE_MS

t.test(
  'A10 T16: a hundred callers who need a refresh at once share one exchange, and all of them are served',
  async (t) => {
    const { app, sandbox, pass } = await moving(t)
    pass(2 * HOUR_MS)
    const answers = await Promise.all(
      Array.from({ length: 100 }, async () => await app.inject(CHECK))
    )
    t.same(
      answers.filter(({ statusCode }) => statusCode !== 200).map(({ body }) => body),
      []
    )
    t.same(exchanges(sandbox), { ok: 1 })
  }
)

t.test(
  'A10 T16: a hundred callers spread over four processes share one exchange, all are served, and the stored pair is the living one',
  async (t) => {
    const { sandbox, serve, row, expire } = await place(t)
    const services = await Promise.all(Array.from({ length: 4 }, async () => await serve()))
    const rounds = many(3, 20)
    for (let round = 1; round <= rounds; round++) {
      await expire()
      // Long enough for everybody to come while it is under way.
      await tokenFault(sandbox, 'delay', 200)
      const answers = await Promise.all(
        Array.from({ length: 25 }, () => services)
          .flat()
          .map(async (service) => await check(service))
      )
      t.same(
        answers.filter(({ status }) => status !== 200),
        [],
        `round ${round}`
      )
      t.same(exchanges(sandbox), { ok: round })
      t.equal((await row()).version, 1 + round)
    }
    t.equal(sandbox.world.grants.reuses(), 0)
  }
)

for (const [kind, order] of [
  ['delay', 'after'],
  ['delay-after', 'before']
] as const) {
  t.test(
    `A12: an exchange that takes longer than its lease, done ${order} the newer one, changes nothing; its caller gets the newer token, and one more exchange settles which pair lives`,
    async (t) => {
      const { app, sandbox, lines, url, now, pass } = await moving(t)
      const engine = await openEngine(url)
      t.teardown(() => engine.close())
      const settings = {
        vault: app.vault,
        now,
        clientById: app.clients.byId,
        onScopes: async () => {}
      }
      // Its deadline, which is shorter than its lease, does not work: that is what a process meets that is not run for a while.
      const slow = createAccess({
        ...settings,
        store: app.store,
        http: async (call) => await app.http({ ...call, timeoutMs: 5 * SECOND_MS }),
        exchangeMs: 130,
        leaseMs: 400
      })
      const quick = createAccess({
        ...settings,
        store: createStore(engine, now),
        http: app.http,
        exchangeMs: 5 * SECOND_MS,
        leaseMs: 15 * SECOND_MS
      })
      const id = (await app.store.connections.get(1, 'jira'))?.grant.id ?? ''
      const stored = async () => (await app.store.grants.get(id)) as Grant
      const need = { log: app.log }
      const before = await stored()
      pass(2 * HOUR_MS)

      await tokenFault(sandbox, kind, 1_500)
      const late = slow.accessToken(id, need)
      late.catch(() => {})
      await met(sandbox)
      const token = await quick.accessToken(id, need)
      const newer = await stored()
      t.equal(openAccess(app.vault, newer), token)
      t.equal(await late, token, 'the late one serves what the other has stored')
      t.same(exchanges(sandbox), { ok: 2 })
      const kept = await stored()
      t.equal(kept.version, before.version + 1)
      t.equal(kept.refreshToken, newer.refreshToken)
      t.equal(openAccess(app.vault, kept), token)
      t.equal(lines().filter(({ event }) => event === 'grant_refresh_superseded').length, 1)
      t.ok(kept.dueAt !== null && kept.dueAt.getTime() <= now() + SETTLE_MS)

      const upkeep = createUpkeep({
        store: app.store,
        vault: app.vault,
        access: quick,
        now,
        auditDays: 0,
        clientIds: app.clients.ids,
        log: app.log
      })
      await upkeep.once()
      t.same(exchanges(sandbox), { ok: 2 }, 'the other exchange is given time to end')
      pass(SETTLE_MS + SECOND_MS)
      await upkeep.once()
      await upkeep.once()
      t.same(exchanges(sandbox), { ok: 3 })
      for (const ms of [11 * MINUTE_MS, 2 * HOUR_MS]) {
        pass(ms)
        t.equal((await app.inject(CHECK)).statusCode, 200)
      }
      t.same(exchanges(sandbox), { ok: 4 })
      t.equal(sandbox.world.grants.reuses(), 0)
    }
  )
}

t.test(
  'A12: when a process that refreshes is killed, another one takes over soon after its lease',
  async (t) => {
    const { sandbox, serve, row, expire } = await place(t)
    const waiting = await serve(ANSWER_MS)
    for (let i = 0; i < many(1, 10); i++) {
      const dying = await serve(ANSWER_MS)
      await expire()
      const { version } = await row()
      await tokenFault(sandbox, 'hang')
      const unanswered = check(dying)
      await met(sandbox)
      const answer = check(waiting)
      await dying.stop('SIGKILL')
      const from = performance.now()
      t.match(await answer, { status: 200, body: { state: 'active' } })
      t.ok(performance.now() - from < LEASE_MS + 5 * SECOND_MS)
      t.equal((await unanswered).status, 0)
      t.equal((await row()).version, version + 1)
    }
    t.equal(sandbox.world.grants.reuses(), 0)
  }
)

t.test(
  'A12: a process that was frozen while it refreshed overwrites nothing when it wakes up, and both processes work on',
  async (t) => {
    const { sandbox, serve, row, expire, makeDue } = await place(t)
    const [frozen, other] = await Promise.all([serve(ANSWER_MS), serve(ANSWER_MS)])
    for (let i = 0; i < many(1, 10); i++) {
      await expire()
      const before = await row()
      const { ok } = exchanges(sandbox)
      // Its exchange is done at Atlassian before the other's, or after it.
      await (i % 2 === 0
        ? tokenFault(sandbox, 'delay-after', 300)
        : tokenFault(sandbox, 'delay', LEASE_MS + SECOND_MS))
      const late = check(frozen)
      await met(sandbox)
      process.kill(frozen.pid, 'SIGSTOP')
      t.match(await check(other), { status: 200 })
      const kept = await row()
      await until('Atlassian has done both', () => exchanges(sandbox).ok === ok + 2)
      process.kill(frozen.pid, 'SIGCONT')
      t.match(await late, { status: 200 })
      t.match(await row(), {
        version: before.version + 1,
        refresh_token: kept.refresh_token,
        access_token: kept.access_token
      })
      t.ok(
        (await row()).due_at <= Date.now() + SETTLE_MS,
        'one more exchange will settle which pair lives'
      )

      await makeDue()
      t.match(await check(frozen), { status: 200 })
      t.equal((await row()).version, before.version + 2)
      await expire()
      t.match(await check(other), { status: 200 })
      t.match(await check(frozen), { status: 200, body: { state: 'active' } })
    }
    t.equal(sandbox.world.grants.reuses(), 0)
  }
)

t.test(
  'A12: a process that was frozen for longer than old tokens live does not use them when it wakes up, which would end the consent',
  async (t) => {
    const { sandbox, serve, row, expire } = await place(t)
    const [frozen, other] = await Promise.all([serve(ANSWER_MS), serve(ANSWER_MS)])
    await expire()
    const { version } = await row()
    await tokenFault(sandbox, 'delay-after', 300)
    const late = check(frozen)
    await met(sandbox)
    process.kill(frozen.pid, 'SIGSTOP')
    t.match(await check(other), { status: 200 })
    await sandbox.admin('clock', { advance_ms: 11 * MINUTE_MS })
    process.kill(frozen.pid, 'SIGCONT')
    t.match(await late, { status: 200 })
    t.equal((await row()).version, version + 1)
    t.same(exchanges(sandbox), { ok: 2 })
    await expire()
    t.match(await check(other), { status: 200, body: { state: 'active' } })
    t.equal(sandbox.world.grants.reuses(), 0)
  }
)

for (const caller of ['waits', 'has gone'] as const) {
  t.test(
    `E1: a service that is asked to stop in the middle of a refresh saves it before it ends, though the caller ${caller}`,
    async (t) => {
      const { sandbox, serve, row, expire } = await place(t)
      const stopping = await serve()
      await expire()
      const { version } = await row()
      await tokenFault(sandbox, 'delay-after', 800)
      const hangUp = new AbortController()
      const answer = check(stopping, hangUp.signal)
      await met(sandbox)
      if (caller === 'has gone') hangUp.abort()
      t.equal(await stopping.stop('SIGTERM'), 0)
      t.equal((await answer).status, caller === 'waits' ? 200 : 0)
      t.equal((await row()).version, version + 1)
      await sandbox.admin('clock', { advance_ms: 11 * MINUTE_MS })

      t.match(await check(await serve()), { status: 200, body: { state: 'active' } })
      t.same(exchanges(sandbox), { ok: 1 })
    }
  )
}
