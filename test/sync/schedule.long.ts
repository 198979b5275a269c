import t from 'tap'
import { startTestService, type TestService } from '../auth/helper.ts'
import { Browser, waitForRun } from '../helper.ts'
import { MINUTE_MS, HOUR_MS } from '../time.ts'
import { getSyncScheduler } from '../jobs.ts'

const listRuns = async ({ app }: TestService, owner = 1) =>
  (await app.inject(`/integrations/jira/sync/runs?owner_id=${owner}`)).json() as Array<
    Record<string, any>
  >

/** A service whose users have connected Jira, each synced once. */
async function startServiceWithPeople(
  t: Parameters<typeof startTestService>[0],
  people: number,
  env: NodeJS.ProcessEnv = {}
): Promise<TestService> {
  const running = await startTestService(t, env)
  for (let i = 1; i <= people; i++) {
    await new Browser(running.app).connect(
      'jira',
      `&state=${encodeURIComponent(`email=p${i}@example.com`)}`
    )
    await waitForRun(running.app, 'jira', i)
  }
  return running
}

t.test(
  'Syncs every connection after SYNC_INTERVAL, with jitter, and in full after SYNC_FULL_INTERVAL',
  async (t) => {
    const running = await startServiceWithPeople(t, 6, { SYNC_LIST_INTERVAL: '3600' })
    const { app, sandbox, advanceTime } = running
    const due = await Promise.all(
      [1, 2, 3, 4, 5, 6].map(
        async (id) =>
          (await app.inject(`/users/${id}/connections`)).json().connections[0]
            .next_sync_at as string
      )
    )
    const minutes = due.map((at) => (Date.parse(at) - Date.now()) / MINUTE_MS)
    t.ok(
      minutes.every((each) => each > 13 && each < 17),
      `${minutes.map((each) => each.toFixed(1)).join(', ')} minutes`
    )
    t.ok(new Set(due).size > 3)
    await getSyncScheduler(app).runNow()
    t.equal((await listRuns(running)).length, 1, 'nothing is due yet')
    advanceTime(17 * MINUTE_MS)
    await getSyncScheduler(app).runNow()
    for (let id = 7; id <= 12; id++) {
      t.match(
        await waitForRun(app, 'jira', id),
        { state: 'succeeded', mode: 'due', counts: { upstream_calls: 1 } },
        'incremental'
      )
    }
    await getSyncScheduler(app).runNow()
    t.equal((await listRuns(running)).length, 2, 'once only')
    await sandbox.admin('issues/10000', { deleted: true })
    advanceTime(25 * HOUR_MS)
    await getSyncScheduler(app).runNow()
    const [{ id } = { id: 0 }] = await listRuns(running)
    await waitForRun(app, 'jira', id)
    t.ok((await listRuns(running))[0]?.counts.upstream_calls > 2, 'in full')
  }
)

t.test(
  'With SYNC_INTERVAL=0 syncs only on request, and skips connections that need their user',
  async (t) => {
    const off = await startServiceWithPeople(t, 1, { SYNC_INTERVAL: '0' })
    off.advanceTime(100 * HOUR_MS)
    await getSyncScheduler(off.app).runNow()
    t.equal((await listRuns(off)).length, 1)
    const on = await startServiceWithPeople(t, 1)
    await on.sandbox.admin('revoke', {})
    on.advanceTime(17 * MINUTE_MS + HOUR_MS)
    await getSyncScheduler(on.app).runNow()
    t.match(await waitForRun(on.app, 'jira', 2), {
      state: 'failed',
      error: { code: 'needs_reconnect' }
    })
    on.advanceTime(17 * MINUTE_MS)
    await getSyncScheduler(on.app).runNow()
    t.equal((await listRuns(on)).length, 2)
  }
)

t.test(
  'Runs at most SYNC_CONCURRENCY syncs at once, and one for each owner and product',
  async (t) => {
    const running = await startServiceWithPeople(t, 6, { SYNC_CONCURRENCY: '2' })
    const { app, sandbox, advanceTime } = running
    await sandbox.admin('faults', {
      kind: 'delay',
      delay_ms: 150,
      match: { path: 'project/search' },
      times: 100
    })
    advanceTime(17 * MINUTE_MS)
    await Promise.all([getSyncScheduler(app).runNow(), getSyncScheduler(app).runNow()])
    const joined = await Promise.all(
      Array.from(
        { length: 10 },
        async () =>
          (await app.inject({ method: 'POST', url: '/integrations/jira/sync?owner_id=1' })).json()
            .id as number
      )
    )
    t.equal(new Set(joined).size, 1, 'each sync request joins it')
    let most = 0
    for (let remainingRuns = 6; remainingRuns > 0;) {
      const states = await Promise.all(
        [1, 2, 3, 4, 5, 6].map(
          async (owner) => (await listRuns(running, owner))[0]?.state as string
        )
      )
      most = Math.max(most, states.filter((state) => state === 'running').length)
      remainingRuns = states.filter((state) => state !== 'succeeded').length
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    t.equal(most, 2)
    t.same(
      await Promise.all(
        [1, 2, 3, 4, 5, 6].map(async (owner) => (await listRuns(running, owner)).length)
      ),
      Array(6).fill(2)
    )
  }
)

t.test('Deletes ended runs after SYNC_HISTORY_DAYS', async (t) => {
  const running = await startServiceWithPeople(t, 1, { SYNC_INTERVAL: '0' })
  running.advanceTime(29 * 24 * HOUR_MS)
  await getSyncScheduler(running.app).runNow()
  t.equal((await listRuns(running)).length, 1)
  running.advanceTime(2 * 24 * HOUR_MS)
  await getSyncScheduler(running.app).runNow()
  t.equal((await listRuns(running)).length, 0)
})
