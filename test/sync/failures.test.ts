import t from 'tap'
import { AppError } from '../../src/lib/errors.ts'
import { createMissingKeyError } from '../../src/lib/missing-key.ts'
import { Browser, buildAppWithSandbox, waitFor, waitForRun, type TestApp } from '../helper.ts'

const requestSync = async ({ app }: TestApp, product: string) =>
  await app.inject({ method: 'POST', url: `/integrations/${product}/sync` })

t.test('Reports a missing scope without a refresh', async (t) => {
  const service = await buildAppWithSandbox(t)
  await new Browser(service.app).connect('jira', '&scope=read:jira-user%20offline_access')
  t.match(await waitForRun(service.app, 'jira'), {
    state: 'failed',
    error: { code: 'scope_missing', detail: /read:jira-work/ }
  })
  const { exchanges } = await service.sandbox.admin('stats', undefined, 'GET')
  t.same(Object.keys(exchanges as object), ['authorization_code'])
})

t.test('Refreshes an expired access token once, before its use', async (t) => {
  let clock = Date.now()
  const service = await buildAppWithSandbox(t, { now: () => clock })
  const browser = new Browser(service.app)
  await browser.connect('jira')
  await waitForRun(service.app, 'jira')
  clock += 3_600_000
  await Promise.all([requestSync(service, 'jira'), requestSync(service, 'jira')])
  t.match(await waitForRun(service.app, 'jira', 2), { state: 'succeeded' })
  const { exchanges, family_revocations: revoked } = await service.sandbox.admin(
    'stats',
    undefined,
    'GET'
  )
  t.match(exchanges, { refresh_token: { ok: 1 } })
  t.equal(revoked, 0)
})

t.test('Replaces an access token that Atlassian rejects early once', async (t) => {
  const service = await buildAppWithSandbox(t)
  await new Browser(service.app).connect('jira')
  await waitForRun(service.app, 'jira')
  await service.sandbox.admin('faults', {
    kind: 'status',
    status: 401,
    body: { code: 401, message: 'Unauthorized' },
    match: { path: '/ex/jira/' },
    times: 1
  })
  await requestSync(service, 'jira')
  t.match(await waitForRun(service.app, 'jira', 2), { state: 'succeeded' })
  t.match((await service.sandbox.admin('stats', undefined, 'GET')).exchanges, {
    refresh_token: { ok: 1 }
  })
})

t.test('Ends the run with needs_reconnect after a revoked consent', async (t) => {
  const service = await buildAppWithSandbox(t)
  await new Browser(service.app).connect('jira')
  await waitForRun(service.app, 'jira')
  await service.sandbox.admin('revoke', {})
  await requestSync(service, 'jira')
  t.match(await waitForRun(service.app, 'jira', 2), {
    state: 'failed',
    error: { code: 'needs_reconnect' }
  })
})

t.test("Reports a wrong client secret as the operator's error", async (t) => {
  let clock = Date.now()
  const service = await buildAppWithSandbox(t, { now: () => clock })
  await new Browser(service.app).connect('jira')
  await waitForRun(service.app, 'jira')
  clock += 3_600_000
  await service.sandbox.admin('faults', {
    kind: 'status',
    status: 401,
    body: { error: 'access_denied', error_description: 'Unauthorized' },
    match: { path: '/oauth/token', method: 'POST' }
  })
  await requestSync(service, 'jira')
  t.match(await waitForRun(service.app, 'jira', 2), { error: { code: 'oauth_misconfigured' } })
})

t.test('A run that this service cannot even re-queue ends no process', async (t) => {
  const { app, lines } = await buildAppWithSandbox(t)
  await new Browser(app).connect('jira')
  await waitForRun(app, 'jira')
  const { connections, runs } = app.store
  const { run } = await runs.enqueue(1, 'jira')
  const [get, suspend] = [connections.get, runs.suspend]
  connections.get = async () => await Promise.reject(createMissingKeyError('k1'))
  runs.suspend = async () =>
    await Promise.reject(new AppError('database_busy', 'The database is busy.'))
  app.syncWorker.poke()
  const findError = () =>
    lines().find(({ event, run_id: id }) => event === 'sync_error' && id === run.id)
  t.match(await waitFor(findError), { level: 'error', err: { message: 'The database is busy.' } })
  Object.assign(connections, { get })
  Object.assign(runs, { suspend })
  t.match(await runs.get(run.id, 'jira'), { state: 'running' }, 'until its lease has expired')
})
