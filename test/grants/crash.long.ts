import t from 'tap'
import { many } from '../auth/helper.ts'
import { copyOf } from '../database.ts'
import { build, configured, type Built, type Test } from '../helper.ts'
import type { Started } from '../process/child.ts'
import {
  check,
  CHECK,
  exchanges,
  HOUR_MS,
  met,
  MINUTE_MS,
  moving,
  occurrences,
  pause,
  place,
  tokenCalls,
  tokenFault,
  until,
  type Place
} from './helper.ts'

const ANSWER_MS = 700
const LEASE_MS = 3 * ANSWER_MS
const KILLS = many(1, 50)
const REFRESHED = '"event":"grant_refreshed"'
const PASSED_LEEWAY = { advance_ms: 11 * MINUTE_MS }

/** How a process is killed that has just been asked for something that takes a refresh. */
interface Step {
  title: string
  fault?: [kind: string, delayMs?: number]
  /** Resolves at the moment to kill it. */
  moment: (place: Place, victim: Started) => Promise<void>
  /** True: the refresh had ended, so that the pair has to be stored whatever happens to the old one. */
  isOver?: boolean
}

const steps: Step[] = [
  {
    title: 'before Atlassian has done anything',
    fault: ['hang'],
    moment: async ({ sandbox }) => {
      await met(sandbox)
    }
  },
  {
    title: 'when Atlassian has rotated the tokens and not answered yet',
    fault: ['delay-after', 5_000],
    moment: async ({ sandbox }) => {
      const { ok } = exchanges(sandbox)
      await until('Atlassian has rotated', () => exchanges(sandbox).ok > ok)
    }
  },
  {
    title: 'at any moment',
    moment: async () => {
      await pause(Math.random() * 25)
    }
  },
  {
    title: 'when the new tokens are saved',
    moment: async (_place, victim) => {
      const before = occurrences(victim.output(), REFRESHED)
      await until('the tokens are saved', () => occurrences(victim.output(), REFRESHED) > before)
    },
    isOver: true
  }
]

t.test(
  'A11: a service that is killed at any step of a refresh works again after a restart, without a new consent',
  async (t) => {
    const here = await place(t)
    const { sandbox, serve, row, expire, makeDue } = here
    let service = await serve(ANSWER_MS)
    for (const { title, fault, moment, isOver = false } of steps) {
      for (let kill = 1; kill <= KILLS; kill++) {
        await expire()
        if (fault !== undefined) await tokenFault(sandbox, ...fault)
        const soon = moment(here, service)
        const unanswered = check(service)
        await soon
        await service.stop('SIGKILL')
        await unanswered
        await sandbox.admin('faults', undefined, 'DELETE')
        if (isOver) await sandbox.admin('clock', PASSED_LEEWAY)
        if (fault !== undefined) {
          const { attempt_at: attemptAt, due_at: dueAt } = await row()
          t.ok(attemptAt !== null && dueAt <= Date.now() + LEASE_MS, 'the attempt is noted')
        }
        const before = exchanges(sandbox)
        // Every second time nobody asks, and upkeep repeats it.
        const isUnasked = fault !== undefined && kill % 2 === 0
        if (isUnasked) await makeDue()

        service = await serve(ANSWER_MS)
        if (isUnasked) {
          await until('upkeep has repeated it', () => service.output().includes(REFRESHED))
        }
        t.match(
          await check(service),
          { status: 200, body: { state: 'active', last_error: null } },
          `${title}, kill ${kill}`
        )
        if (isOver) t.same(exchanges(sandbox), before, 'what was saved is what is used')
      }
    }
    await expire()
    t.match(await check(service), { status: 200 })
    t.equal(sandbox.world.grants.reuses(), 0)
    t.same(Object.keys(exchanges(sandbox)), ['ok'])
    const history = (await (
      await fetch(`${service.url}/users/1/connections/jira/history`)
    ).json()) as Array<{ to: string }>
    t.notOk(history.some(({ to }) => to === 'needs_reconnect'))
  }
)

t.test(
  'A11: a service that was killed in the middle of a refresh and comes back when the old tokens are dead asks once, says that a new consent is needed, and asks no more',
  async (t) => {
    const { sandbox, serve, expire } = await place(t)
    const victim = await serve(ANSWER_MS)
    await expire()
    await tokenFault(sandbox, 'delay-after', 5_000)
    const unanswered = check(victim)
    await until('Atlassian has rotated', () => exchanges(sandbox).ok === 1)
    await victim.stop('SIGKILL')
    await unanswered
    await sandbox.admin('clock', PASSED_LEEWAY)
    const before = tokenCalls(sandbox)

    const service = await serve(ANSWER_MS)
    for (let i = 0; i < 3; i++) {
      t.match(await check(service), { status: 409, body: { code: 'needs_reconnect' } })
    }
    t.equal(tokenCalls(sandbox), before + 1)
    t.match(await connection(service), { state: 'needs_reconnect' })
    await service.stop()
    const again = await serve(ANSWER_MS)
    t.match(await check(again), { status: 409 })
    t.equal(tokenCalls(sandbox), before + 1, 'nor after another restart')
  }
)

t.test(
  'T42 D12: a database restored from a copy whose tokens have been replaced since asks once, says that a new consent is needed, and asks no more',
  async (t) => {
    const used = await moving(t)
    const { sandbox, pass } = used
    const works = async () => {
      pass(2 * HOUR_MS)
      t.equal((await used.app.inject(CHECK)).statusCode, 200)
    }
    await works()
    const restore = await copied(t, used)
    await works()
    await works()
    await used.app.close()
    const before = tokenCalls(sandbox)

    const { app } = await restore(t)
    for (let i = 0; i < 3; i++) {
      const answer = await app.inject(CHECK)
      t.equal(answer.statusCode, 409)
      t.match(answer.json(), { code: 'needs_reconnect' })
      pass(HOUR_MS)
      await app.upkeep.once()
    }
    t.equal(tokenCalls(sandbox), before + 1)
    t.match((await app.inject('/users/1/connections')).json(), {
      connections: [{ product: 'jira', state: 'needs_reconnect' }]
    })
  }
)

t.test(
  'T42 D12: a database restored from a copy whose tokens were replaced less than ten minutes ago works',
  async (t) => {
    const used = await moving(t)
    const { sandbox, pass } = used
    pass(2 * HOUR_MS)
    const restore = await copied(t, used)
    t.equal((await used.app.inject(CHECK)).statusCode, 200)
    await used.app.close()
    pass(9 * MINUTE_MS)

    const { app } = await restore(t)
    for (const ms of [0, 11 * MINUTE_MS, 2 * HOUR_MS]) {
      pass(ms)
      t.equal((await app.inject(CHECK)).statusCode, 200)
    }
    t.same(exchanges(sandbox), { ok: 3 })
    t.equal(sandbox.world.grants.reuses(), 0)
  }
)

/** Copies the database as it is; the function returned starts a service on the copy. */
async function copied(
  t: Test,
  { sandbox, file, url, now }: Awaited<ReturnType<typeof moving>>
): Promise<(t: Test) => Promise<Built>> {
  const copy = await copyOf(t, url, `${file}.copy`)
  return async (t) => await build(t, { ...configured(sandbox.url), INTEGRATION_DB_URL: copy }, now)
}

async function connection({ url }: Started): Promise<any> {
  return ((await (await fetch(`${url}/users/1/connections`)).json()) as any).connections[0]
}
