import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { generateKeyEntry } from '../src/vault/keyring.ts'
import { formatTable, median } from './statistics.ts'

/** Measures starts of the build and of the source in production mode, each on an empty database. */
const { values } = parseArgs({
  options: { rounds: { type: 'string' }, quick: { type: 'boolean', default: false } }
})
const rounds = Number(values.rounds ?? (values.quick ? 1 : 7))
if (!Number.isSafeInteger(rounds) || rounds < 1) {
  console.error('Usage: npm run bench:start -- [--quick] [--rounds 7]')
  process.exit(2)
}

const PROGRAMS = ['dist/main.js', 'src/main.js'] as const
const POLL_INTERVAL_MS = 5
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
}

async function measureStart(program: string): Promise<StartMeasurement> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'))
  const startedAt = performance.now()
  const child = fork(fileURLToPath(new URL(`../${program}`, import.meta.url)), {
    cwd: folder,
    execArgv: ['--import', USAGE_REPORTER],
    env: {
      PATH: process.env.PATH,
      APP_ENV: 'production',
      HOST: '127.0.0.1',
      PORT: '0',
      INTEGRATION_DB_URL: `sqlite:///${join(folder, 'start.db')}`,
      VAULT_KEYS: generateKeyEntry('bench')
    },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc']
  })
  const exited = once(child, 'exit')
  try {
    await waitUntilReady(await readUrl(child))
    const readyMs = performance.now() - startedAt
    child.send('usage')
    const [usage] = (await once(child, 'message')) as [Omit<StartMeasurement, 'readyMs'>]
    return { readyMs, ...usage }
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
  const getMedian = (key: keyof StartMeasurement) => median(starts.map((each) => each[key]))
  return [
    program,
    `${(getMedian('readyMs') / 1e3).toFixed(2)} s`,
    `${(getMedian('cpuMicros') / 1e6).toFixed(2)} s`,
    `${Math.round(getMedian('rssBytes') / MIB)} MiB`
  ]
})
console.log(formatTable([['start', 'ready', 'processor time', 'resident memory'], ...rows]))
