import { execFileSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { assignCores } from './cpu-pinning.ts'
import { openDatabases } from './databases.ts'
import {
  openIdleConnections,
  openWatchers,
  readStream,
  type StreamTimes
} from './open-connections.ts'
import { readOptions } from './options.ts'
import { formatValues } from './report.ts'
import { saveResults, type Result } from './results.ts'
import { executeSql } from './seed.ts'
import { percentile } from './statistics.ts'
import { startSubject } from './subject.ts'

/**
 * Measures many open connections: idle ones, watchers of server-sent events, and long lists that are
 * streamed at the same time. A round is one event or one request of each list.
 */
const { engine, quick, rounds, save } = readOptions('bench:connections', {
  full: { rounds: 10, seconds: 1 },
  quick: { rounds: 2, seconds: 1 }
})
const MIB = 2 ** 20
const KIB = 2 ** 10
/** What this process and the service need beside the connections. */
const OTHER_DESCRIPTORS = 500
const openFilesLimit = Number(execFileSync('bash', ['-c', 'ulimit -n'], { encoding: 'utf8' }))
const maxConnections = Number.isNaN(openFilesLimit)
  ? Infinity
  : Math.max(1, openFilesLimit - OTHER_DESCRIPTORS)
const idleCount = Math.min(quick ? 500 : 10_000, maxConnections)
const watcherCount = Math.min(quick ? 100 : 1_000, maxConnections)
const STREAM_COUNT = 64
const PROBES = quick ? 20 : 200
const SETTLE_MS = quick ? 200 : 2_000
const MEMORY_POLL_MS = 20
const DELIVERY_TIMEOUT_MS = 5_000
const RUN = `insert into runs (owner_id, provider, state, worker, lease_until, seen, added, changed, calls,
  created_at, started_at) values (1, 'jira', 'running', 'bench', 9000000000000, 0, 0, 0, 0,
  ${Date.now()}, ${Date.now()})`

const cores = assignCores()
const databases = await openDatabases(engine)
const databaseUrl = await databases.create('connections')
const service = await startSubject(
  'service',
  {
    databaseUrl,
    vaultKeys: databases.vaultKeys,
    userCount: 100,
    settings: { MAX_CONNECTIONS_PER_ADDRESS: '0' }
  },
  cores
)
const getRss = async () => (await service.getUsage()).rssBytes
const results: Result[] = []
const addResult = (name: string, title: string, values: NonNullable<Result['values']>) => {
  results.push({
    program: 'bench:connections',
    name,
    title,
    engine,
    conditions: { rounds, openFilesLimit: openFilesLimit || 'unlimited' },
    values
  })
}

async function measureIdle(): Promise<void> {
  const idleRss = await getRss()
  const sockets = await openIdleConnections(service.url, idleCount)
  await sleep(SETTLE_MS)
  const rss = await getRss()
  const latencies: number[] = []
  let failed = idleCount - sockets.length
  for (let i = 0; i < PROBES; i++) {
    const startedAt = performance.now()
    const response = await fetch(`${service.url}/users/${1 + (i % 100)}`)
    await response.arrayBuffer()
    latencies.push(performance.now() - startedAt)
    if (!response.ok) failed++
  }
  const stillOpen = sockets.filter(({ closed, readyState }) => !closed && readyState === 'open')
  for (const socket of sockets) socket.destroy()
  latencies.sort((a, b) => a - b)
  addResult('idle', `${idleCount} idle keep-alive connections`, [
    { label: 'resident memory before', value: idleRss / MIB, unit: 'MiB' },
    { label: 'resident memory with them', value: rss / MIB, unit: 'MiB' },
    { label: 'for each connection', value: (rss - idleRss) / idleCount / KIB, unit: 'KiB' },
    { label: 'GET /users/{id} beside them, p50', value: percentile(latencies, 0.5), unit: 'ms' },
    { label: 'GET /users/{id} beside them, p99', value: percentile(latencies, 0.99), unit: 'ms' },
    { label: 'open to the end', value: stillOpen.length, unit: '' },
    { label: 'failed', value: failed, unit: '' }
  ])
}

async function measureWatchers(): Promise<void> {
  await executeSql(databaseUrl, RUN)
  const idleRss = await getRss()
  const watchers = await openWatchers(
    service.url,
    '/integrations/jira/sync/runs/1/events',
    watcherCount
  )
  await sleep(SETTLE_MS)
  const rss = await getRss()
  const deliveries: number[] = []
  let missed = 0
  const before = await service.getUsage()
  const startedAt = performance.now()
  for (let round = 1; round <= rounds; round++) {
    const isLast = round === rounds
    watchers.takeArrivals()
    await executeSql(
      databaseUrl,
      isLast
        ? `update runs set state = 'succeeded', worker = null, finished_at = ${Date.now()}`
        : `update runs set seen = ${round}, calls = ${round}`
    )
    const changedAt = performance.now()
    const arrived: number[] = []
    while (arrived.length < watchers.count && performance.now() < changedAt + DELIVERY_TIMEOUT_MS) {
      await sleep(MEMORY_POLL_MS)
      arrived.push(...watchers.takeArrivals())
    }
    arrived.sort((a, b) => a - b)
    missed += Math.max(0, watchers.count - arrived.length)
    deliveries.push(...arrived.slice(0, watchers.count).map((at) => at - changedAt))
  }
  const cpuMicros = (await service.getUsage()).cpuMicros - before.cpuMicros
  const share = cpuMicros / ((performance.now() - startedAt) * 1000)
  watchers.close()
  deliveries.sort((a, b) => a - b)
  addResult('watchers', `${watcherCount} watchers of server-sent events`, [
    { label: 'resident memory before', value: idleRss / MIB, unit: 'MiB' },
    { label: 'resident memory with them', value: rss / MIB, unit: 'MiB' },
    { label: 'change to event, p50', value: percentile(deliveries, 0.5), unit: 'ms' },
    { label: 'change to event, p99', value: percentile(deliveries, 0.99), unit: 'ms' },
    { label: 'processor time, share of a core', value: share * 100, unit: '%' },
    { label: 'refused', value: watcherCount - watchers.count, unit: '' },
    { label: 'events not delivered in 5 s', value: missed, unit: '' }
  ])
}

async function measureStreams(): Promise<void> {
  const url = `${service.url}/jira/projects/2`
  await readStream(url)
  const idleRss = await getRss()
  let maxRss = idleRss
  const reading = (async () => {
    const streams: StreamTimes[] = []
    for (let round = 0; round < rounds; round++) {
      const reads = Array.from({ length: STREAM_COUNT }, async () => await readStream(url))
      streams.push(...(await Promise.all(reads)))
    }
    return streams
  })()
  let streams: StreamTimes[] | undefined
  while (streams === undefined) {
    maxRss = Math.max(maxRss, await getRss())
    streams = await Promise.race([reading, sleep(MEMORY_POLL_MS, undefined)])
  }
  const complete = streams.filter(({ isComplete }) => isComplete)
  const toSorted = (pick: (each: StreamTimes) => number) => complete.map(pick).sort((a, b) => a - b)
  const firstBytes = toSorted(({ firstByteMs }) => firstByteMs)
  addResult('streams', `${STREAM_COUNT} lists of 10,000 streamed at the same time`, [
    { label: 'first byte, p50', value: percentile(firstBytes, 0.5), unit: 'ms' },
    { label: 'first byte, p99', value: percentile(firstBytes, 0.99), unit: 'ms' },
    {
      label: 'last byte, p50',
      value: percentile(
        toSorted(({ totalMs }) => totalMs),
        0.5
      ),
      unit: 'ms'
    },
    { label: 'growth of resident memory', value: (maxRss - idleRss) / MIB, unit: 'MiB' },
    {
      label: 'refused or incomplete',
      value: rounds * STREAM_COUNT - complete.length,
      unit: ''
    }
  ])
}

try {
  await measureIdle()
  await measureWatchers()
  await measureStreams()
} finally {
  await service.stop()
  await databases.remove()
}
console.log(
  `${rounds} rounds, ${engine}, ulimit -n ${openFilesLimit || 'unlimited'} ` +
    '(at most so many connections less 500).\n'
)
for (const { title, values = [] } of results) console.log(formatValues(title, values))
saveResults(save, results)
process.exit()
