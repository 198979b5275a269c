import { join } from 'node:path'
import t from 'tap'
import { createClockMonitor } from '../../src/lib/clock-monitor.ts'
import { startTestService } from '../auth/helper.ts'
import { ensureDatabase, isPostgres, queryDatabase } from '../database.ts'
import { Browser, buildSandboxEnv, buildTestApp, waitFor, waitForRun } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../time.ts'

t.test('A clock that is set is told from one that only goes on', async (t) => {
  let [wall, monotonic] = [1_000_000, 500]
  const measureStep = createClockMonitor(
    () => wall,
    () => monotonic
  )
  const pass = (ms: number) => {
    wall += ms
    monotonic += ms
  }
  t.equal(measureStep(), 0)
  pass(HOUR_MS)
  t.equal(measureStep(), 0)
  wall += 1_000
  t.equal(measureStep(), 0, 'a small step of time synchronisation')
  wall -= 1_000 + DAY_MS
  pass(5_000)
  t.equal(measureStep(), -DAY_MS)
  t.equal(measureStep(), 0, 'each step once')
  wall += DAY_MS
  t.equal(measureStep(), DAY_MS)
})

t.test('D10 Syncs go on after the clock was set back by a day, and the log says so', async (t) => {
  const { app, lines, advanceTime } = await startTestService(t, { SYNC_INTERVAL: '10' })
  await new Browser(app).connect('jira')
  await waitForRun(app, 'jira', 1)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const findLine = (name: string) => lines().find(({ event }) => event === name)
  const listRuns = async () =>
    (await app.inject('/integrations/jira/sync/runs?owner_id=1')).json() as unknown[]
  t.equal(findLine('clock_changed'), undefined)
  t.equal((await listRuns()).length, 1, 'the next sync is due in ten minutes')

  advanceTime(-DAY_MS)
  const line = await waitFor(() => findLine('clock_changed'))
  t.match(line, { level: 'warn', difference_s: -DAY_MS / 1_000 })
  t.match(await waitFor(() => findLine('schedules_corrected')), { connections: 1 })
  await waitFor(async () => (await listRuns()).length === 2)
  t.equal(lines().filter(({ event }) => event === 'clock_changed').length, 1, 'logged once')
})

t.test(
  'A start with a slow clock moves schedules only where no other clock is known',
  async (t) => {
    const url = await ensureDatabase(t, join(createTempFolder(t), 'c.db'))
    const env = { INTEGRATION_DB_URL: url, SYNC_INTERVAL: '10' }
    const first = await startTestService(t, env)
    await new Browser(first.app).connect('jira')
    await waitForRun(first.app, 'jira', 1)
    await first.app.close()
    const readDueAt = async () =>
      Number((await queryDatabase(url, 'select sync_due_at from connections'))[0]?.sync_due_at)
    const before = await readDueAt()
    let lagMs = HOUR_MS
    const slow = await buildTestApp(
      t,
      { ...buildSandboxEnv(first.sandbox.url), ...env },
      () => Date.now() - lagMs
    )
    await slow.app.listen({ port: 0, host: '127.0.0.1' })
    const findLine = (name: string) => slow.lines().find(({ event }) => event === name)
    if (isPostgres) {
      t.match(await waitFor(() => findLine('clock_behind')), { level: 'warn' })
      t.equal(await readDueAt(), before, 'the time that another clock wrote')
      await queryDatabase(url, 'update connections set sync_due_at = ?', Date.now() + DAY_MS)
      lagMs = 0
    }
    t.match(await waitFor(() => findLine('schedules_corrected')), { connections: 1 })
    t.equal(slow.lines().filter(({ event }) => event === 'clock_behind').length, isPostgres ? 1 : 0)
  }
)

t.test('Times that no valid clock could have written are pulled in', async (t) => {
  const { app } = await startTestService(t)
  await new Browser(app).connect('jira')
  await waitForRun(app, 'jira', 1)
  const { clockRepair, connections, rateBudgets, rateLimits } = app.store
  const now = Date.now()
  const key = { app: 'a', scope: 'app', target: '', owner: 'x', reason: null }
  await rateBudgets.block({ name: 'far', waitMs: DAY_MS, consecutiveRefusals: 1, ...key })
  await rateBudgets.block({ name: 'near', waitMs: HOUR_MS, consecutiveRefusals: 1, ...key })
  await rateLimits.add('caller', 100, DAY_MS)
  await clockRepair.pullInWaits(now)
  const waits = Object.fromEntries(
    (await rateBudgets.listByNames(['far', 'near'])).map(({ name, waitMs }) => [name, waitMs])
  )
  t.ok((waits.far ?? 1) <= 0, 'a block until tomorrow')
  t.ok((waits.near ?? 0) > 50 * MINUTE_MS, 'the wait for the next hour stays')
  t.equal((await rateLimits.add('caller', 1, MINUTE_MS)).count, 1)

  // A window that ends later than windows last is closed, also without the repair.
  await rateLimits.add('caller 2', 100, DAY_MS)
  t.equal((await rateLimits.add('caller 2', 1, MINUTE_MS)).count, 1)
  t.same(await clockRepair.listDueAfter(new Date(now + DAY_MS), 0), [])
  await connections.schedule(1, 'jira', new Date(now + 2 * DAY_MS))
  t.equal((await clockRepair.listDueAfter(new Date(now + DAY_MS), 0)).length, 1)
})
