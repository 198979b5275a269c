import t from 'tap'
import { Browser, buildAppWithSandbox, buildTestApp, waitForRun } from '../helper.ts'
import { startSyncedService } from './synced-service.ts'

const PATHS = ['/jira/issues/1', '/integrations/jira/issues/fetch']

t.test('A list of posted items only was never copied', async (t) => {
  const { app } = await buildTestApp(t)
  await app.store.users.findOrCreate('ada@example.com', null)
  await app.inject({
    method: 'POST',
    url: '/jira/projects',
    payload: { owner_id: 1, key: 'PAY', name: 'Payments' }
  })
  const answer = await app.inject('/jira/projects/1')
  t.match(answer.headers, { 'x-sync-state': 'never', 'x-total-count': '1' })
  t.notOk('x-as-of' in answer.headers)
  t.match(answer.json(), [{ source: 'manual', site: null }])
  t.match((await app.inject('/integrations/jira/projects/fetch')).json(), {
    provider: 'jira',
    total: 1,
    as_of: null,
    sync_state: 'never'
  })
})

t.test('A list is copying until its first listing is complete', async (t) => {
  const { app, sandbox } = await buildAppWithSandbox(t, {
    sandbox: { sizes: { projects: 3, issues: 5, spaces: 1, pages: 1 }, indexLagMs: 0 }
  })
  await sandbox.admin('faults', {
    match: { path: 'project/search' },
    times: 1,
    kind: 'delay',
    delay_ms: 1_500
  })
  await new Browser(app).connect('jira')
  const during = await app.inject('/jira/projects/1')
  t.equal(during.headers['x-sync-state'], 'copying')
  t.notOk('x-as-of' in during.headers)
  t.equal(
    (await app.inject('/confluence/pages/1')).headers['x-sync-state'],
    'never',
    'the other product is not connected'
  )
  t.match(await waitForRun(app, 'jira', 1), { state: 'succeeded' })
  const after = await app.inject('/jira/projects/1')
  t.match(after.headers, { 'x-sync-state': 'complete', 'x-as-of': /^\d{4}-.*Z$/ })
})

t.test('A complete list says since when, and each incremental run moves that', async (t) => {
  let offsetMs = 0
  const service = await startSyncedService(t, ['jira'], {
    sandbox: { sizes: { projects: 2, issues: 12, spaces: 1, pages: 1 } },
    now: () => Date.now() + offsetMs
  })
  const { get, runSync, sandbox } = service
  const readAsOf = async (path: string) => {
    const { headers } = await get(path)
    t.match(headers, { 'x-sync-state': 'complete', 'x-total-count': '12' })
    return String(headers['x-as-of'])
  }
  const [list = '', fetchPath = ''] = PATHS
  const first = await readAsOf(list)
  t.ok(Date.parse(first) <= Date.now() + 1_000)
  const { etag } = (await get(list)).headers
  const { etag: fetchEtag } = (await get(fetchPath)).headers
  offsetMs = 3_600_000
  t.match(await runSync('jira', 'incremental'), { state: 'succeeded', counts: { changed: 0 } })
  const second = await readAsOf(list)
  t.ok(Date.parse(second) >= Date.parse(first) + 3_500_000, 'also where nothing has changed')
  const unchanged = await get(list, { 'if-none-match': String(etag) })
  t.match(unchanged, { statusCode: 304, headers: { 'x-as-of': second } })
  const fetched = await get(fetchPath, { 'if-none-match': String(fetchEtag) })
  t.equal(fetched.statusCode, 200, 'the body of fetch contains the time')
  t.match(fetched.json(), { total: 12, as_of: second, sync_state: 'complete' })

  const { cloud_id: site } = (await get('/users/1/connections')).json().connections[0].site
  t.ok(site)
  const items = (await get(list)).json()
  t.ok(
    items.every((item: object) => 'site' in item && item.site === site),
    'items name the cloudId of their site'
  )
  t.ok(items.every((item: object) => 'source' in item && item.source === 'atlassian'))

  for (const { key } of items.slice(0, 9)) await sandbox.admin(`issues/${key}`, { deleted: true })
  t.match(await runSync('jira', 'full'), { state: 'partial', error: { code: 'deletions_held' } })
  for (const path of PATHS) t.equal((await get(path)).headers['x-sync-state'], 'held')
})

t.test('A list with a failed item is partial until that is copied', async (t) => {
  const { get, runSync, sandbox } = await startSyncedService(t, ['jira'], {
    sandbox: { sizes: { projects: 3, issues: 3, spaces: 1, pages: 1 } }
  })
  const project = sandbox.state.sites[0]?.projects.at(0)
  await sandbox.admin('spoil', { collection: 'projects', id: project?.id, fields: { key: null } })
  t.match(await runSync('jira', 'full'), { state: 'partial', error: { code: 'items_skipped' } })
  t.equal((await get('/jira/projects/1')).headers['x-sync-state'], 'partial')
  t.equal((await get('/jira/issues/1')).headers['x-sync-state'], 'complete', 'of the others not')
})
