import t from 'tap'
import { ensureDatabase, queryDatabase } from '../database.ts'
import { buildTestApp, VAULT_KEY, waitFor } from '../helper.ts'
import { createTempFolder, startServiceProcess } from './child.ts'
import { HttpBrowser } from './browser-visit.ts'
import { DEMO_CLIENT } from '../../src/sandbox/oauth/clients.ts'
import { generateKeyEntry } from '../../src/vault/keyring.ts'
import { startSandbox } from '../sandbox/helper.ts'
import { HOUR_MS } from '../time.ts'

const fetchJson = async (url: string, init?: RequestInit) =>
  (await (await fetch(url, init)).json()) as any

const buildClientEnv = (url: string) => ({
  ATLASSIAN_AUTH_URL: url,
  ATLASSIAN_API_URL: url,
  APP_FRONTEND_URL: url,
  JIRA_OAUTH_CLIENT_ID: 'sandbox-client',
  JIRA_OAUTH_CLIENT_SECRET: 'sandbox-secret',
  JIRA_OAUTH_REDIRECT_URI: 'http://127.0.0.1:3001/auth/jira/callback'
})

/** Connects Jira and calls the callback directly: its URL is registered for another port. */
async function connectJira(url: string): Promise<void> {
  const { url: authorize } = await fetchJson(`${url}/auth/jira/login`)
  const consent = await fetch(`${authorize}&sandbox_decision=accept`, { redirect: 'manual' })
  const { pathname, search } = new URL(consent.headers.get('location') ?? '')
  await fetch(url + pathname + search, { redirect: 'manual' })
}

async function waitForRunEnd(url: string): Promise<any> {
  for (let i = 0; i < 500; i++) {
    const run = await fetchJson(`${url}/integrations/jira/sync/runs/1`)
    if (run.finished_at !== null) return run
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error('The run did not end')
}

const ONE_SITE_CLIENT = { ...DEMO_CLIENT, access: 'resource' as const }

for (const [signal, title] of [
  ['SIGTERM', 'stopped'],
  ['SIGKILL', 'killed']
] as const) {
  t.test(
    `A run continues from its checkpoint after the service is ${title} and restarted`,
    async (t) => {
      const cwd = createTempFolder(t)
      const database = await ensureDatabase(t, `${cwd}/integration.db`)
      const sandbox = await startSandbox(t, {
        sizes: { projects: 150, issues: 1 },
        clients: [ONE_SITE_CLIENT]
      })
      await sandbox.admin('faults', {
        kind: 'hang',
        match: { path: 'project/search' },
        skip: 1,
        times: 1
      })
      const first = await startServiceProcess(t, { cwd, env: buildClientEnv(sandbox.url) })
      await connectJira(first.url)
      while ((await fetchJson(`${first.url}/integrations/jira/sync/runs/1`)).counts.seen < 100) {
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      t.equal(await first.stop(signal), signal === 'SIGTERM' ? 0 : null)
      t.equal(
        first.output().includes('"event":"sync_interrupted"'),
        signal === 'SIGTERM',
        'the service reports it if it can'
      )
      // Removes the fault, so that the next process is not affected.
      await sandbox.admin('faults', undefined, 'DELETE')
      const [{ state, seen } = {}] = await queryDatabase(database, 'select state, seen from runs')
      t.match({ state, seen }, { state: signal === 'SIGTERM' ? 'queued' : 'running', seen: 100 })
      // A killed process holds its run until the lease expires.
      await queryDatabase(database, 'update runs set lease_until = 0 where lease_until is not null')

      const second = await startServiceProcess(t, { cwd, env: buildClientEnv(sandbox.url) })
      t.match(await waitForRunEnd(second.url), {
        id: 1,
        state: 'succeeded',
        error: null,
        counts: { seen: 151, added: 151 }
      })
      t.equal((await fetchJson(`${second.url}/jira/projects/1`)).length, 150)
      const { log } = (await sandbox.admin('stats', undefined, 'GET')) as {
        log: Array<{ path: string; startAt?: string }>
      }
      const listed = log
        .filter(({ path }) => path.includes('project/search'))
        .map(({ startAt }) => startAt)
      t.same(
        listed.filter((at) => at === '0'),
        ['0'],
        'saved items are not read again'
      )
      t.ok(listed.filter((at) => at === '100').length <= 2)
    }
  )
}

t.test('A generated development key decrypts after a restart', async (t) => {
  const cwd = createTempFolder(t)
  const sandbox = await startSandbox(t, { clients: [ONE_SITE_CLIENT] })
  const first = await startServiceProcess(t, { cwd, env: buildClientEnv(sandbox.url) })
  await connectJira(first.url)
  await waitForRunEnd(first.url)
  await first.stop()
  const second = await startServiceProcess(t, { cwd, env: buildClientEnv(sandbox.url) })
  const { id } = await fetchJson(`${second.url}/integrations/jira/sync`, { method: 'POST' })
  let run
  do run = await fetchJson(`${second.url}/integrations/jira/sync/runs/${id}`)
  while (run.finished_at === null)
  t.match(run, { state: 'succeeded' })
})

t.test('A second process on the same port does not disturb the run of the first', async (t) => {
  const cwd = createTempFolder(t)
  const sandbox = await startSandbox(t, { clients: [ONE_SITE_CLIENT] })
  await sandbox.admin('faults', {
    kind: 'delay',
    delay_ms: 2_000,
    match: { path: 'project/search' },
    times: 1
  })
  const first = await startServiceProcess(t, { cwd, env: buildClientEnv(sandbox.url) })
  await connectJira(first.url)
  await t.rejects(
    startServiceProcess(t, {
      cwd,
      env: { ...buildClientEnv(sandbox.url), PORT: new URL(first.url).port }
    }),
    /ended with 1.*port is already in use/s
  )
  t.match(await waitForRunEnd(first.url), { state: 'succeeded' })
})

t.test(
  'E1 On SIGTERM reports the stop, finishes open requests, and exits with 0 despite keep-alive connections',
  async (t) => {
    const sandbox = await startSandbox(t, { clients: [ONE_SITE_CLIENT] })
    await sandbox.admin('faults', {
      kind: 'delay',
      delay_ms: 1_500,
      match: { path: '/oauth/token', method: 'POST' },
      times: 1
    })
    const cwd = createTempFolder(t)
    const service = await startServiceProcess(t, {
      cwd,
      env: {
        ...buildClientEnv(sandbox.url),
        // Production refuses a relative path.
        INTEGRATION_DB_URL: await ensureDatabase(t, `${cwd}/integration.db`),
        APP_ENV: 'production',
        HOST: '127.0.0.1',
        VAULT_KEYS: generateKeyEntry('k')
      }
    })
    const underWay = connectJira(service.url)
    while (!service.output().includes('token_exchange_start')) {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    const stopped = service.stop('SIGTERM')
    let statusWhileStopping = 200
    while (statusWhileStopping === 200) {
      statusWhileStopping = (await fetch(`${service.url}/healthz`)).status
    }
    t.equal(statusWhileStopping, 503)
    await underWay
    t.equal(await stopped, 0)
    await waitFor(() => /"event":"frontend_redirect".*"status":"success"/.test(service.output()))
  }
)

t.test('The row of a killed instance is deleted after a day', async (t) => {
  const cwd = createTempFolder(t)
  const database = await ensureDatabase(t, `${cwd}/integration.db`)
  const killed = await startServiceProcess(t, { cwd, env: { VAULT_KEYS: VAULT_KEY } })
  await killed.stop('SIGKILL')
  const { app } = await buildTestApp(t, { INTEGRATION_DB_URL: database })
  const countRowsAfterMaintenance = async () => {
    await app.maintenance.runNow()
    const rows = await queryDatabase(database, 'select * from instances where pid = ?', killed.pid)
    return rows.length
  }
  t.equal(await countRowsAfterMaintenance(), 1, 'kept, to look at')
  await queryDatabase(
    database,
    'update instances set heartbeat_at = heartbeat_at - ? where pid = ?',
    25 * HOUR_MS,
    killed.pid
  )
  t.equal(await countRowsAfterMaintenance(), 0)
})

t.test('T39 Production serves no sandbox route', async (t) => {
  const cwd = createTempFolder(t)
  const service = await startServiceProcess(t, {
    cwd,
    env: {
      APP_ENV: 'production',
      HOST: '127.0.0.1',
      VAULT_KEYS: generateKeyEntry('k'),
      INTEGRATION_DB_URL: await ensureDatabase(t, `${cwd}/integration.db`)
    }
  })
  for (const path of [
    '/sandbox/authorize',
    '/sandbox/oauth/token',
    '/sandbox/admin/state',
    '/api/sandbox/authorize',
    '/sandbox',
    '/sandbox/'
  ]) {
    t.equal((await fetch(service.url + path)).status, 404, path)
  }
  const login = await fetch(`${service.url}/auth/jira/login`)
  t.equal(login.status, 400)
  t.match(await login.json(), {
    code: 'oauth_not_configured',
    missing: { client_id: true, client_secret: true, redirect_uri: true }
  })
  t.equal(
    (await new HttpBrowser().open(`${service.url}/auth/confluence/login?redirect=true`)).status,
    400
  )
})
