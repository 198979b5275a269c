import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import autocannon from 'autocannon'
import { generateKeyEntry } from '../src/vault/keyring.ts'
import { saveResults } from './results.ts'
import { formatTable, median } from './statistics.ts'

/**
 * Measures starts of the build and of the source in production mode, each on an empty database, and the
 * memory of the build before and after requests.
 */
const { values } = parseArgs({
  options: {
    rounds: { type: 'string' },
    requests: { type: 'string' },
    save: { type: 'string' },
    quick: { type: 'boolean', default: false }
  }
})
const rounds = Number(values.rounds ?? (values.quick ? 1 : 7))
const requestCount = Number(values.requests ?? (values.quick ? 1_000 : 100_000))
if (!Number.isSafeInteger(rounds) || rounds < 1 || !Number.isSafeInteger(requestCount)) {
  console.error(
    'Usage: npm run bench:start -- [--quick] [--rounds 7] [--requests 100000] [--save NAME]'
  )
  process.exit(2)
}

const PROGRAMS = ['dist/main.js', 'src/main.js'] as const
const POLL_INTERVAL_MS = 5
const CONNECTIONS = 16
const IDLE_MS = values.quick ? 100 : 5_000
const MIB = 2 ** 20

/** Loaded before the program: answers each message with what the process has used so far. */
const USAGE_REPORTER =
  'data:text/javascript,' +
  encodeURIComponent(
    `process.on('message', () => {
      const { user, system } = process.cpuUsage()
      process.send({ cpuMicros: user + system, rssBytes: process.memoryUsage.rss() })
    })`
  )

interface StartMeasurement {
  /** From the creation of the process to the first 200 of /healthz. */
  readyMs: number
  cpuMicros: number
  rssBytes: number
  /** After the requests; undefined without any. */
  loadedRssBytes?: number
}

/** @param requests how many to send before the memory is read again */
async function measureStart(program: string, requests = 0): Promise<StartMeasurement> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'))
  const startedAt = performance.now()
  const child = fork(fileURLToPath(new URL(`../${program}`, import.meta.url)), {
    cwd: folder,
    // As `npm start` and the packages run it.
    execArgv: ['--max-semi-space-size=4', '--import', USAGE_REPORTER],
    env: {
      PATH: process.env.PATH,
      APP_ENV: 'production',
      HOST: '127.0.0.1',
      PORT: '0',
      INTEGRATION_DB_URL: `sqlite:///${join(folder, 'start.db')}`,
      VAULT_KEYS: generateKeyEntry('bench'),
      API_ACCESS: 'public',
      RATE_LIMIT: '0',
      SHUTDOWN_DELAY: '0'
    },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc']
  })
  const exited = once(child, 'exit')
  try {
    const url = await readUrl(child)
    await waitUntilReady(url)
    const readyMs = performance.now() - startedAt
    const askUsage = async () => {
      child.send('usage')
      const [usage] = (await once(child, 'message')) as [{ cpuMicros: number; rssBytes: number }]
      return usage
    }
    const usage = await askUsage()
    if (requests === 0) return { readyMs, ...usage }
    await sendRequests(url, requests)
    await delay(IDLE_MS)
    return { readyMs, ...usage, loadedRssBytes: (await askUsage()).rssBytes }
  } finally {
    if (child.connected) child.disconnect()
    child.kill()
    await exited
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Resolves to the address in the log; goes on reading, so that the pipe never fills. */
async function readUrl(child: ReturnType<typeof fork>): Promise<string> {
  let log = ''
  return await new Promise((resolve, reject) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      log += chunk.toString()
      const [, url] = /Server listening at (http:[^"\s]+)/.exec(log) ?? []
      if (url !== undefined) resolve(url)
    })
    child.once('exit', () => {
      reject(new Error(`The program ended before it listened: ${log}`))
    })
  })
}

/** Creates a user and requests it many times. */
async function sendRequests(url: string, amount: number): Promise<void> {
  const created = await fetch(`${url}/users`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: 'ada@example.com' })
  })
  if (created.status !== 201) throw new Error(`POST /users: ${created.status}`)
  const { errors, non2xx } = await autocannon({
    url,
    connections: CONNECTIONS,
    amount,
    requests: [{ method: 'GET', path: '/users/1' }]
  })
  if (errors + non2xx > 0) console.log(`FAILED: ${errors + non2xx} of ${amount} requests.`)
}

async function waitUntilReady(url: string): Promise<void> {
  while ((await fetch(`${url}/healthz`)).status !== 200) await delay(POLL_INTERVAL_MS)
}

console.log(
  `Median of ${rounds} starts, alternating. Node ${process.versions.node}, ` +
    `${availableParallelism()} cores, load average ${loadavg()[0]?.toFixed(1)}.\n`
)
const measurements: Array<StartMeasurement & { program: string }> = []
for (let round = 0; round < rounds; round++) {
  for (const program of PROGRAMS) {
    measurements.push({ program, ...(await measureStart(program)) })
  }
}
const rows = PROGRAMS.map((program) => {
  const starts = measurements.filter((each) => each.program === program)
  const getMedian = (key: 'readyMs' | 'cpuMicros' | 'rssBytes') =>
    median(starts.map((each) => each[key]))
  return [
    program,
    `${(getMedian('readyMs') / 1e3).toFixed(2)} s`,
    `${(getMedian('cpuMicros') / 1e6).toFixed(2)} s`,
    `${Math.round(getMedian('rssBytes') / MIB)} MiB`
  ]
})
console.log(formatTable([['start', 'ready', 'processor time', 'resident memory'], ...rows]))

const [program] = PROGRAMS
const loaded = await measureStart(program, requestCount)
const [idleMib, loadedMib] = [loaded.rssBytes / MIB, (loaded.loadedRssBytes ?? NaN) / MIB]
console.log(
  `\n${program}: ${idleMib.toFixed(0)} MiB before and ${loadedMib.toFixed(0)} MiB after ` +
    `${requestCount} requests.`
)
const builds = measurements.filter((each) => each.program === program)
saveResults(values.save, [
  {
    program: 'bench:start',
    name: 'start',
    title: 'Start of the build',
    engine: 'sqlite',
    conditions: { rounds, requests: requestCount },
    values: [
      { label: 'first 200', value: median(builds.map(({ readyMs }) => readyMs)), unit: 'ms' },
      {
        label: 'processor time',
        value: median(builds.map(({ cpuMicros }) => cpuMicros)) / 1e3,
        unit: 'ms'
      },
      {
        label: 'resident memory, idle',
        value: median(builds.map(({ rssBytes }) => rssBytes)) / MIB,
        unit: 'MiB'
      },
      { label: 'resident memory after the requests', value: loadedMib, unit: 'MiB' },
      { label: 'growth by the requests', value: (loadedMib / idleMib - 1) * 100, unit: '%' }
    ]
  }
])
