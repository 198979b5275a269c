import { eq } from 'drizzle-orm'
import type { Test } from 'tap'
import type { Engine } from '../../src/store/engine.ts'
import type { Store } from '../../src/store/index.ts'
import type { SyncRun, RunCounters } from '../../src/store/repositories/sync-runs.ts'
import { HOUR_MS } from '../time.ts'
import {
  createGrant,
  createNewConnection,
  createTestStore,
  createRemoteProject,
  START_MS
} from './helper.ts'

const REASON = { code: 'upstream_rate_limited', detail: 'Later.' } as const
const COUNTERS: RunCounters = {
  seen: 7,
  added: 3,
  changed: 1,
  removed: 2,
  held: 4,
  skipped: 5,
  calls: 6,
  points: 99,
  progress: { collection: 'projects', site: 's', done: 7, expected: null },
  done: ['s/projects'],
  failures: [{ collection: 'pages', site: 's', remoteId: '1', code: 'item_invalid', detail: 'No.' }]
}
const OWNER = { ownerId: 1, provider: 'jira' }

/** Store contract of every engine: sync runs and their workers. */
export function defineRunsContract(t: Test, open: () => Engine | Promise<Engine>): void {
  /** A store with two owners. */
  const openStore = async (t: Test) => {
    const built = await createTestStore(t, open)
    for (const email of ['a@b.co', 'b@b.co']) await built.store.users.findOrCreate(email, null)
    const {
      engine: {
        db,
        tables: { runs },
        nowPlus: after
      },
      store
    } = built
    return {
      ...built,
      runs: store.runs,
      claimRun: async (owner = 1, worker = 'w', provider = 'jira') =>
        await claimRun(store, owner, worker, provider),
      /** Expires the lease of the run's worker. */
      expireLease: async ({ id }: SyncRun) => {
        await db
          .update(runs)
          .set({ leaseUntil: after(-1) })
          .where(eq(runs.id, id))
      }
    }
  }

  t.test(
    'runs: one at a time for each owner and product; the next can start when it has ended',
    async (t) => {
      const { runs, claimRun } = await openStore(t)
      const made = await Promise.all(
        Array.from(
          { length: 20 },
          async (_, i) => await runs.enqueue(1, 'jira', i % 2 === 0 ? 'due' : 'full')
        )
      )
      t.equal(made.filter(({ created }) => created).length, 1)
      t.equal(new Set(made.map(({ run }) => run.id)).size, 1)
      t.equal(
        (await runs.enqueue(1, 'confluence')).created,
        true,
        'the other product has a run of its own'
      )
      t.equal((await runs.enqueue(2, 'jira', 'full')).run.mode, 'full')
      await t.rejects(runs.enqueue(9, 'jira'), { code: 'user_not_found' })
      const run = await claimRun()
      await runs.finish(run, COUNTERS, { state: 'partial', code: 'items_skipped', detail: 'Some.' })
      t.match(await runs.get(run.id, 'jira'), {
        ...COUNTERS,
        state: 'partial',
        worker: null,
        errorCode: 'items_skipped',
        errorDetail: 'Some.',
        finishedAt: new Date(START_MS)
      })
      t.equal(await runs.get(run.id, 'confluence'), undefined)
      const next = await runs.enqueue(1, 'jira')
      t.equal(next.created, true)
      t.match(await runs.get(next.run.id, 'jira'), {
        state: 'queued',
        seen: 0,
        done: [],
        failures: [],
        progress: null,
        startedAt: null
      })
      t.same(
        (await runs.list(1, 'jira', 10)).map(({ id }) => id),
        [next.run.id, run.id],
        'newest first'
      )
      t.same(
        (await runs.list(1, 'jira', 1, next.run.id)).map(({ id }) => id),
        [run.id]
      )
    }
  )

  t.test(
    'runs: one of twenty workers claims a run, and only that worker can write to it',
    async (t) => {
      const { runs, store } = await openStore(t)
      const {
        run: { id }
      } = await runs.enqueue(1, 'jira')
      t.same(await runs.listClaimable(10), [{ id, ownerId: 1 }])
      const claims = await Promise.all(
        Array.from({ length: 20 }, async (_, i) => await runs.claim(id, `w${i}`))
      )
      const [run, ...more] = claims.filter((each) => each !== undefined)
      t.same(more, [])
      t.match(run, { state: 'running', startedAt: new Date(START_MS), errorCode: null })
      t.same(await runs.listClaimable(10), [])
      const other = { id, worker: run?.worker === 'w1' ? 'w2' : 'w1' }
      for (const stranger of [
        { ...OWNER, ...other },
        { ...OWNER, id, worker: null },
        { ...OWNER, id: id + 1, worker: run?.worker ?? '' }
      ]) {
        t.equal(await runs.isOwned(stranger), false)
        t.equal(await runs.renewLease(stranger), false)
        await runs.finish(stranger, COUNTERS, { state: 'succeeded' })
        await runs.suspend(stranger, COUNTERS, null)
        await store.transaction(function* () {
          t.same(yield runs.lockStatement(stranger), [])
          yield runs.saveProgressStatement(stranger, COUNTERS)
        })
      }
      t.match(await runs.get(id, 'jira'), { state: 'running', worker: run?.worker, seen: 0 })
      if (run === undefined) return
      t.equal(await runs.isOwned(run), true)
      t.equal(await runs.renewLease(run), true)
      await store.transaction(function* () {
        t.equal((yield runs.lockStatement(run)).length, 1)
        yield runs.saveProgressStatement(run, COUNTERS)
      })
      t.match(await runs.get(id, 'jira'), { state: 'running', ...COUNTERS })
    }
  )

  t.test(
    'runs: after the lease of a dead worker expires, the run resumes and the late worker saves nothing',
    async (t) => {
      const { runs, store, claimRun, expireLease } = await openStore(t)
      const run = await claimRun()
      await store.transaction(function* () {
        yield runs.saveProgressStatement(run, COUNTERS)
      })
      t.equal(await runs.claim(run.id, 'next'), undefined)
      await expireLease(run)
      t.same(await runs.listClaimable(10), [{ id: run.id, ownerId: 1 }])
      await store.transaction(function* () {
        yield runs.lockStatement(run)
      })
      t.same(await runs.listClaimable(10), [], 'saving a page renews the lease')
      await expireLease(run)
      t.equal(await runs.renewLease(run), true, 'so does a heartbeat')
      t.equal(await runs.claim(run.id, 'next'), undefined)
      await expireLease(run)
      const reclaimed = await runs.claim(run.id, 'next')
      t.match(reclaimed, { ...COUNTERS, id: run.id, worker: 'next', startedAt: run.startedAt })
      t.equal(await runs.isOwned(run), false)
      const late = await store.transaction(function* () {
        if ((yield runs.lockStatement(run)).length === 0) return 'late'
        return yield* store.items('projects').upsertPage(1, 's', [createRemoteProject('1', 'K')], 1)
      })
      t.equal(late, 'late')
      t.same(await store.items('projects').list(1, 10), [])
      await runs.finish(run, COUNTERS, { state: 'failed', code: 'internal_error', detail: 'No.' })
      t.match(await runs.get(run.id, 'jira'), { state: 'running', worker: 'next' })
    }
  )

  t.test(
    'runs: the end of a run is saved with what follows for its connection, or neither is',
    async (t) => {
      const { store, runs, claimRun } = await openStore(t)
      await store.grants.connect(createGrant('g'), createNewConnection())
      const syncDueAt = new Date(START_MS + HOUR_MS)
      const readConnection = async () => (await store.connections.get(1, 'jira'))?.connection
      const before = await readConnection()
      const stranger = { ...(await claimRun()), worker: 'x' }
      const next = { syncDueAt, routinePoints: 3 }
      await runs.finish(stranger, COUNTERS, { state: 'succeeded' }, next)
      t.same(await readConnection(), before)
      await runs.finish({ ...stranger, worker: 'w' }, COUNTERS, { state: 'succeeded' }, next)
      t.match(await runs.get(stranger.id, 'jira'), { state: 'succeeded' })
      t.match(await readConnection(), { ...next, fullPoints: null })
    }
  )

  t.test('runs: a requeued run waits for the next worker or for its time', async (t) => {
    const { runs, claimRun, advanceTime } = await openStore(t)
    const run = await claimRun()
    t.equal(await runs.getNextResumeAt(), undefined)
    await runs.suspend(run, COUNTERS, null)
    t.match(await runs.get(run.id, 'jira'), {
      ...COUNTERS,
      state: 'queued',
      worker: null,
      parkedUntil: null,
      errorCode: null
    })
    const again = await claimRun(1, 'second')
    t.match(again, { id: run.id, ...COUNTERS })
    await runs.suspend(again, COUNTERS, new Date(START_MS + HOUR_MS), REASON)
    t.match(await runs.get(run.id, 'jira'), {
      state: 'parked',
      worker: null,
      parkedUntil: new Date(START_MS + HOUR_MS),
      errorCode: REASON.code,
      errorDetail: REASON.detail,
      finishedAt: null
    })
    const other = await claimRun(2)
    await runs.suspend(other, COUNTERS, new Date(START_MS + 2 * HOUR_MS), REASON)
    t.same(await runs.getNextResumeAt(), new Date(START_MS + HOUR_MS), 'the first of them')
    t.equal((await runs.enqueue(1, 'jira')).created, false, 'it still counts as active')
    t.same([await runs.listClaimable(10), await runs.claim(run.id, 'early')], [[], undefined])
    advanceTime(HOUR_MS)
    t.same(
      (await runs.listClaimable(10)).map(({ id }) => id),
      [run.id]
    )
    t.match(await runs.claim(run.id, 'third'), {
      state: 'running',
      parkedUntil: null,
      errorCode: null,
      errorDetail: null
    })
    t.same(await runs.getNextResumeAt(), new Date(START_MS + 2 * HOUR_MS))
  })

  t.test(
    'runs: others can cancel or fail an active run once, and an ended run stays ended',
    async (t) => {
      const { runs, claimRun, store } = await openStore(t)
      const { run: queued } = await runs.enqueue(1, 'jira')
      t.equal(await runs.cancel(queued.id, 'Enough.'), true)
      t.match(await runs.get(queued.id, 'jira'), {
        state: 'cancelled',
        errorCode: 'cancelled',
        errorDetail: 'Enough.',
        finishedAt: new Date(START_MS)
      })
      for (const end of ['cancel', 'endActive'] as const) {
        for (const parked of [true, false]) {
          const run = await claimRun()
          if (parked) await runs.suspend(run, COUNTERS, new Date(START_MS + HOUR_MS), REASON)
          if (end === 'cancel') t.equal(await runs.cancel(run.id, 'Enough.'), true)
          else await runs.failActive(1, 'jira', { code: 'disconnected', detail: 'Gone.' })
          t.match(await runs.get(run.id, 'jira'), {
            state: end === 'cancel' ? 'cancelled' : 'failed',
            errorCode: end === 'cancel' ? 'cancelled' : 'disconnected',
            parkedUntil: null,
            worker: null
          })
          t.same(
            [
              await runs.isOwned(run),
              await runs.claim(run.id, 'x'),
              await runs.cancel(run.id, 'Again.')
            ],
            [false, undefined, false]
          )
          await runs.finish(run, COUNTERS, { state: 'succeeded' })
          t.equal(
            await store.transaction(function* () {
              return (yield runs.lockStatement(run)).length
            }),
            0
          )
          t.not((await runs.get(run.id, 'jira'))?.state, 'succeeded')
        }
      }
      const other = await claimRun(2)
      await runs.failActive(1, 'jira', { code: 'disconnected', detail: 'Gone.' })
      t.equal(await runs.isOwned(other), true, "no other owner's run")
    }
  )

  t.test('runs: purges old ended runs in batches, and no active run', async (t) => {
    const {
      runs,
      claimRun,
      engine: { db, tables }
    } = await openStore(t)
    const {
      run: { id: waiting }
    } = await runs.enqueue(2, 'jira')
    const old = {
      ownerId: 1,
      provider: 'jira',
      state: 'succeeded',
      seen: 0,
      added: 0,
      changed: 0,
      calls: 0,
      createdAt: new Date(START_MS),
      finishedAt: new Date(START_MS)
    }
    await db.insert(tables.runs).values(Array(501).fill(old))
    const run = await claimRun()
    t.equal(await runs.purge(new Date(START_MS)), false, 'no run ended before that')
    t.equal(await runs.purge(new Date(START_MS + 1)), true)
    t.equal(await runs.purge(new Date(START_MS + 1)), false)
    t.same(
      (await runs.list(1, 'jira', 1_000)).map(({ id }) => id),
      [run.id]
    )
    t.ok(await runs.get(waiting, 'jira'))
  })
}

/** Enqueues a run and claims it for this worker. */
async function claimRun(
  { runs }: Store,
  owner: number,
  worker: string,
  provider: string
): Promise<SyncRun> {
  const run = await runs.claim((await runs.enqueue(owner, provider)).run.id, worker)
  if (run === undefined) throw new Error('Another worker has the run')
  return run
}
