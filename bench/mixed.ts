import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Request } from 'autocannon'
import { assignCores } from './cpu-pinning.ts'
import { openDatabases } from './databases.ts'
import { runLoad, type Measurement } from './load.ts'
import { readOptions } from './options.ts'
import { saveResults } from './results.ts'
import type { RequestList } from './scenarios.ts'
import { formatTable, median } from './statistics.ts'
import { startSubject } from './subject.ts'

/**
 * Measures a mixed load (80 % reads, 15 % writes, 5 % logins) with and without a sync under way, in turn:
 * A B B A.
 */
const { engine, quick, rounds, seconds, save } = readOptions('bench:mixed', {
  full: { rounds: 6, seconds: 3 },
  quick: { rounds: 1, seconds: 0.4 }
})
const CONNECTIONS = 16
const WARM_UP_S = Math.min(3, seconds)
/** More than a sync copies in all rounds. */
const PAGE_COUNT = quick ? 50_000 : 1_000_000
const OWNER_HINT = encodeURIComponent('user_id=1')
const RUNS_PATH = '/integrations/confluence/sync'
const START_TIMEOUT_MS = 20_000
const POLL_INTERVAL_MS = 20
const ACTIVE_STATES = ['queued', 'running']

const get = (path: string): Request => ({ method: 'GET', path })
const post = (path: string, body: object): Request => ({
  method: 'POST',
  path,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body)
})
const createUser = () => post('/users', { email: '[<id>]@example.com', display_name: 'Ada' })
const read = (i: number) => get(`/users/${1 + (i % 100)}`)
/** Twenty requests in turn: 16 reads, 3 writes and a login. */
const requests = [
  ...[0, 1, 2, 3, 4].map(read),
  createUser(),
  ...[5, 6, 7, 8, 9].map(read),
  post('/jira/projects', { owner_id: 3, key: 'KEY', name: 'Upload [<id>]' }),
  ...[10, 11, 12].map(read),
  createUser(),
  ...[13, 14, 15].map(read),
  get('/auth/jira/login')
] as Request[] as RequestList

const sandbox = fork(fileURLToPath(new URL('sync-sandbox.ts', import.meta.url)), [
  String(PAGE_COUNT)
])
const [port] = (await once(sandbox, 'message')) as [number]
const sandboxUrl = `http://127.0.0.1:${port}`
const cores = assignCores()
const databases = await openDatabases(engine)
const service = await startSubject(
  'service',
  {
    databaseUrl: await databases.create('mixed'),
    vaultKeys: databases.vaultKeys,
    userCount: 100,
    settings: {
      ALLOW_INSECURE: 'http_atlassian',
      ATLASSIAN_AUTH_URL: sandboxUrl,
      ATLASSIAN_API_URL: sandboxUrl,
      ATLASSIAN_HOURLY_POINTS: '100000000',
      CONFLUENCE_OAUTH_CLIENT_ID: 'sandbox-client',
      CONFLUENCE_OAUTH_CLIENT_SECRET: 'sandbox-secret',
      CONFLUENCE_OAUTH_REDIRECT_URI: 'https://connector.example.com/auth/confluence/callback',
      SYNC_FULL_COOLDOWN: '0',
      SYNC_INTERVAL: '0'
    }
  },
  cores
)

interface Run {
  id: number
  state: string
  counts: { seen: number }
}

async function call(path: string, method = 'GET'): Promise<Run> {
  const response = await fetch(service.url + path, { method })
  if (!response.ok) {
    throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
  }
  return (await response.json()) as Run
}

/** Waits until a run has, or no longer has, one of the states. */
async function waitForRun(id: number, isExpected: (run: Run) => boolean): Promise<Run> {
  const deadline = performance.now() + START_TIMEOUT_MS
  while (true) {
    const run = await call(`${RUNS_PATH}/runs/${id}`)
    if (isExpected(run)) return run
    if (performance.now() > deadline) throw new Error(`Run ${id} stays ${run.state}.`)
    await sleep(POLL_INTERVAL_MS)
  }
}

/** Connects Confluence through the sandbox; its first run is cancelled. */
async function connect(): Promise<void> {
  const login = await fetch(
    `${service.url}/auth/confluence/login?redirect=false&state=${OWNER_HINT}`
  )
  const { url } = (await login.json()) as { url: string }
  const consent = await fetch(`${url}&sandbox_decision=accept`, { redirect: 'manual' })
  const { pathname, search } = new URL(consent.headers.get('location') ?? '')
  await fetch(service.url + pathname + search, { redirect: 'manual' })
  await stopRun((await startRun()).id)
}

async function startRun(): Promise<Run> {
  const { id } = await call(`${RUNS_PATH}?owner_id=1&mode=full`, 'POST')
  return await waitForRun(id, ({ state, counts }) => state === 'running' && counts.seen > 0)
}

async function stopRun(id: number): Promise<void> {
  await call(`${RUNS_PATH}/runs/${id}`, 'DELETE')
  await waitForRun(id, ({ state }) => !ACTIVE_STATES.includes(state))
}

const load = async (s: number) => await runLoad(service, { requests, connections: CONNECTIONS }, s)
const measured = { without: [] as Measurement[], with: [] as Measurement[] }
const copied = { pages: 0, ms: 0 }

async function measureWithSync(): Promise<void> {
  const run = await startRun()
  const startedAt = performance.now()
  measured.with.push(await load(seconds))
  const after = await call(`${RUNS_PATH}/runs/${run.id}`)
  if (after.state !== 'running') throw new Error(`The sync ended early: ${after.state}.`)
  copied.pages += after.counts.seen - run.counts.seen
  copied.ms += performance.now() - startedAt
  await stopRun(run.id)
}

try {
  await connect()
  await load(WARM_UP_S)
  for (let round = 0; round < rounds; round++) {
    if (round % 2 === 1) await measureWithSync()
    measured.without.push(await load(seconds))
    if (round % 2 === 0) await measureWithSync()
  }
} finally {
  await service.stop()
  await databases.remove()
  sandbox.disconnect()
}

const summarize = (list: Measurement[]) => ({
  requestsPerS: median(list.map(({ requestsPerS }) => requestsPerS)),
  p50Ms: median(list.map(({ p50Ms }) => p50Ms)),
  p99Ms: median(list.map(({ p99Ms }) => p99Ms)),
  failures: list.reduce((sum, { failures }) => sum + failures, 0)
})
const [quiet, busy] = [summarize(measured.without), summarize(measured.with)]
const p99Ratio = median(
  measured.with.map(({ p99Ms }, i) => p99Ms / (measured.without[i]?.p99Ms ?? NaN))
)
const pagesPerS = (copied.pages / copied.ms) * 1000
console.log(
  `80 % reads, 15 % writes, 5 % logins from ${CONNECTIONS} connections, ${rounds} rounds of ` +
    `${seconds} s, ${engine}.\n`
)
console.log(
  formatTable([
    ['sync', 'requests/s', 'p50 ms', 'p99 ms', 'failed'],
    ...Object.entries({ without: quiet, 'under way': busy }).map(([name, each]) => [
      name,
      each.requestsPerS.toFixed(0),
      each.p50Ms.toFixed(2),
      each.p99Ms.toFixed(2),
      String(each.failures)
    ])
  ])
)
const hasFailures = quiet.failures + busy.failures > 0
const ratioText = hasFailures
  ? 'FAILED requests, no ratio'
  : `${p99Ratio.toFixed(2)} times that without`
console.log(`\np99 with a sync: ${ratioText}; ${pagesPerS.toFixed(0)} pages/s were copied.`)
saveResults(save, [
  {
    program: 'bench:mixed',
    name: 'mixed',
    title: 'Mixed load, with and without a sync',
    engine,
    conditions: { rounds, seconds, connections: CONNECTIONS },
    values: [
      { label: 'p50 without a sync', value: quiet.p50Ms, unit: 'ms' },
      { label: 'p99 without a sync', value: quiet.p99Ms, unit: 'ms' },
      { label: 'p50 with a sync', value: busy.p50Ms, unit: 'ms' },
      { label: 'p99 with a sync', value: busy.p99Ms, unit: 'ms' },
      ...(hasFailures ? [] : [{ label: 'p99 with a sync to without', value: p99Ratio, unit: '×' }]),
      { label: 'requests without a sync', value: quiet.requestsPerS, unit: '/s' },
      { label: 'requests with a sync', value: busy.requestsPerS, unit: '/s' },
      { label: 'pages copied meanwhile', value: pagesPerS, unit: '/s' },
      { label: 'failed requests', value: quiet.failures + busy.failures, unit: '' }
    ]
  }
])
