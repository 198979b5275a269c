import { readFileSync } from 'node:fs'
import t from 'tap'
import { readDatabaseContents, ensureDatabase } from '../database.ts'
import { startServiceProcess, type ServiceProcess } from './child.ts'
import { HttpBrowser } from './browser-visit.ts'
import { resolveNextPage } from '../network.ts'

const fetchJson = async (url: string, init?: RequestInit) =>
  (await (await fetch(url, init)).json()) as any

/**
 * Waits until the first run after the one with the id `after` has ended. Ids can have gaps: a
 * PostgreSQL sequence counts inserts that a concurrent one overtook.
 */
async function waitForRunEnd(base: string, product: string, after: number): Promise<any> {
  for (let i = 0; i < 3_000; i++) {
    const runs: any[] = await fetchJson(`${base}/integrations/${product}/sync/runs?owner_id=1`)
    const run = runs.filter(({ id }) => id > after).at(-1)
    if (run !== undefined && run.finished_at !== null) return run
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error('The run did not end')
}

t.test('Starts without any setting, connects and copies data', async (t) => {
  const service = await startServiceProcess(t)
  const { port } = new URL(service.url)
  t.match(await fetchJson(`${service.url}/healthz`), { status: 'ok' })

  // Tests each host name of a development machine, with and without the alias prefix.
  let lastRun = 0
  for (const base of [
    `http://localhost:${port}`,
    `http://127.0.0.1:${port}`,
    `http://localhost:${port}/api`,
    `http://127.0.0.1:${port}/api`
  ]) {
    await t.test(`at ${base.replace(port, 'PORT')}`, async (t) => {
      const jira = await new HttpBrowser().connect(base, 'jira', '&state=abc')
      t.equal(
        jira.url,
        `${base}/oauth/jira?status=success&user_id=1&state=abc&connection_state=active`
      )
      t.match(jira.body, /Jira is connected/)
      // The first syncs are full; the others find no changes, and list no projects or spaces again.
      const isFirst = lastRun === 0
      const jiraRun = await waitForRunEnd(base, 'jira', lastRun)
      t.match(jiraRun, { state: 'succeeded', counts: { seen: isFirst ? 312 : 0 } })
      const confluence = await new HttpBrowser().connect(base, 'confluence')
      t.equal(
        confluence.url,
        `${base}/oauth/callback?provider=confluence&status=success&user_id=1&connection_state=active`
      )
      const confluenceRun = await waitForRunEnd(base, 'confluence', jiraRun.id)
      t.match(confluenceRun, { state: 'succeeded', counts: { seen: isFirst ? 64 : 0 } })
      lastRun = confluenceRun.id
      t.match(await fetchJson(`${base}/users`), [
        { id: 1, email: /^oauth-user-[\da-f-]{36}@example\.local$/ }
      ])
      const lists = await Promise.all(
        ['jira/projects', 'jira/issues', 'confluence/spaces', 'confluence/pages'].map(
          async (list) =>
            (await fetchJson(`${base}/integrations/${list}/fetch`)).items as Array<{ url: string }>
        )
      )
      t.same(
        lists.map(({ length }) => length),
        [12, 300, 4, 60]
      )
      t.ok(lists.flat().every(({ url }) => url.startsWith('https://acme.atlassian.net/')))
    })
  }

  t.equal(await service.stop(), 0, 'exits with 0 on SIGTERM')
  t.notMatch(
    await readDatabaseContents(await ensureDatabase(t, `${service.cwd}/integration.db`)),
    /eyJ[\w-]{8,}\.eyJ/,
    'the database contains no token in clear text'
  )
})

t.test('Copies 200 projects and 20,000 pages with bounded memory', async (t) => {
  const sandbox = await startServiceProcess(t, {
    args: ['sandbox', '--port', '0', '--projects', '200', '--pages', '20000'],
    ready: /sandbox on (http:\S+)/
  })
  const service = await startServiceProcess(t, {
    env: {
      ATLASSIAN_AUTH_URL: sandbox.url,
      ATLASSIAN_API_URL: sandbox.url,
      APP_FRONTEND_URL: `${sandbox.url}/nowhere`,
      JIRA_OAUTH_CLIENT_ID: 'sandbox-client',
      JIRA_OAUTH_CLIENT_SECRET: 'sandbox-secret',
      JIRA_OAUTH_REDIRECT_URI: 'http://127.0.0.1:3001/auth/jira/callback',
      CONFLUENCE_OAUTH_REDIRECT_URI: 'http://127.0.0.1:3001/auth/confluence/callback'
    }
  })
  for (const product of ['jira', 'confluence']) await connectByHand(service, product)
  const before = readResidentBytes(service.pid)
  t.match(await waitForRunEnd(service.url, 'jira', 0), {
    state: 'succeeded',
    counts: { seen: 500, added: 500 }
  })
  t.match(await waitForRunEnd(service.url, 'confluence', 0), {
    state: 'succeeded',
    counts: { seen: 20_004, added: 20_004 }
  })
  const after = readResidentBytes(service.pid)

  const ids = new Set<string>()
  let next: string | undefined = '/confluence/pages/1'
  while (next !== undefined) {
    const response = await fetch(service.url + next)
    for (const { page_id: id } of (await response.json()) as Array<{ page_id: string }>) {
      ids.add(id)
    }
    next = resolveNextPage(next, response.headers.get('link'))
  }
  t.equal(ids.size, 20_000, 'each page once')
  t.ok(
    after - before < 100 * 1024 * 1024,
    `memory grew by ${Math.round((after - before) / 1024 / 1024)} MB`
  )
})

/** Calls the callback directly: its URL is registered for another port. */
async function connectByHand({ url }: ServiceProcess, product: string): Promise<void> {
  const { url: authorize } = await fetchJson(`${url}/auth/${product}/login`)
  const consent = await fetch(`${authorize}&sandbox_decision=accept`, { redirect: 'manual' })
  const { pathname, search } = new URL(consent.headers.get('location') ?? '')
  await fetch(url + pathname + search, { redirect: 'manual' })
}

/** 0 if the system does not report it. */
function readResidentBytes(pid: number): number {
  try {
    return (
      Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
    )
  } catch {
    return 0
  }
}
