import t from 'tap'
import { Browser, waitFor, waitForRun } from '../helper.ts'
import { createSyncFixture, getRun, startSync } from '../sync/time-helper.ts'

t.test('T37 The copy of a light caller starts while a large one has the only slot', async (t) => {
  const fixture = await createSyncFixture(t, {
    products: ['jira'],
    env: { SYNC_CONCURRENCY: '1' },
    sandbox: { sizes: { projects: 1, issues: 1_000, spaces: 1, pages: 1 } }
  })
  await new Browser(fixture.app).connect(
    'jira',
    `&state=${encodeURIComponent('email=light@example.com')}`
  )
  const [{ id: first }] = (
    await fixture.app.inject('/integrations/jira/sync/runs?owner_id=2')
  ).json()
  await waitForRun(fixture.app, 'jira', first as number)

  await fixture.sandbox.admin('faults', {
    kind: 'delay',
    delay_ms: 3_000,
    times: 8,
    match: { path: '/search/jql' }
  })
  const large = await startSync(fixture.app, 'jira', 'full', 1)
  await waitFor(async () => (await getRun(fixture, 'jira', large)).state === 'running')
  const light = await startSync(fixture.app, 'jira', 'incremental', 2)
  await waitFor(async () => (await getRun(fixture, 'jira', light)).started_at !== null, 25_000)
  t.equal((await getRun(fixture, 'jira', large)).finished_at, null, 'the large one goes on')
  for (const run of [light, large]) {
    t.match(await waitForRun(fixture.app, 'jira', run), { state: 'succeeded' })
  }
})
