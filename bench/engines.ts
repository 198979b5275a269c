import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startPostgresServer } from '../test/postgres/server.ts'
import { startSubject, type BenchmarkSubject } from './subject.ts'
import { engineScenarios, type EngineScenario } from './engines-scenarios.ts'
import { median, formatTable } from './statistics.ts'
import { runLoad, type Measurement } from './load.ts'

/**
 * Measures the service in turn on SQLite, on PostgreSQL, and on PostgreSQL with two instances that
 * share the load.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    only: { type: 'string', default: '' },
    quick: { type: 'boolean', default: false },
    setting: { type: 'string', multiple: true, default: [] }
  }
})
const seconds = Number(values.seconds ?? (values.quick ? 0.2 : 2))
const rounds = Number(values.rounds ?? (values.quick ? 1 : 5))
const maxWarmUpS = values.quick ? 0.1 : Infinity
const selectedNames = values.only.split(',').filter(Boolean)
/** Unit of processor times in /proc/<pid>/stat (USER_HZ, proc(5)). */
const TICKS_PER_SECOND = 100
const USER_COUNT = 100

const vaultKeys = `bench:${randomBytes(32).toString('base64')}`
const folder = mkdtempSync(join(tmpdir(), 'bench-'))
process.once('exit', () => {
  rmSync(folder, { recursive: true, force: true })
})
const storage =
  tmpdir() === '/dev/shm'
    ? 'The files of both engines are in memory.'
    : `PostgreSQL's files are in memory if /dev/shm exists; SQLite's are in ${tmpdir()}.`
console.log(
  `Rounds: ${rounds} of ${seconds} s each in turn; medians. Load, instances and PostgreSQL share ` +
    `${availableParallelism()} cores (${cpus()[0]?.model ?? 'unknown processor'}). ${storage}\n`
)

const server = await startPostgresServer(values.setting)
const subjects: BenchmarkSubject[] = []
try {
  const url = await server.createDatabase('bench')
  const start = async (databaseUrl: string) => {
    const options = { databaseUrl, vaultKeys, userCount: USER_COUNT, settings: {} }
    const subject = await startSubject('service', options, undefined)
    subjects.push(subject)
    return subject
  }
  const sqlite = await start(`sqlite:///${folder}/bench.db`)
  const [first, second] = [await start(url), await start(url)]
  const ways = [
    { name: 'SQLite', instances: [sqlite] },
    { name: 'PostgreSQL', instances: [first] },
    { name: 'PostgreSQL, two', instances: [first, second] }
  ]

  const rows = [
    [
      'scenario',
      'engine',
      'requests/s',
      'p50 ms',
      'p99 ms',
      'cpu µs, service',
      'cpu µs, PostgreSQL',
      'failed'
    ]
  ]
  for (const scenario of engineScenarios.filter(
    ({ name }) => selectedNames.length === 0 || selectedNames.includes(name)
  )) {
    console.error(scenario.name)
    const measured = new Map<string, CombinedMeasurement[]>(ways.map((way) => [way.name, []]))
    for (const way of ways) {
      await measureTogether(way.instances, scenario, Math.min(scenario.warmUpS, maxWarmUpS))
    }
    for (let round = 0; round < rounds; round++) {
      for (const way of round % 2 === 0 ? ways : ways.toReversed()) {
        measured.get(way.name)?.push(await measureTogether(way.instances, scenario, seconds))
      }
    }
    for (const [i, way] of ways.entries()) {
      rows.push(formatRow(i === 0 ? scenario.title : '', way.name, measured.get(way.name) ?? []))
    }
  }
  console.log(formatTable(rows))
} finally {
  await Promise.all(
    subjects.map(async (subject) => {
      await subject.stop()
    })
  )
  await server.remove()
}

/** The sum of all instances. */
interface CombinedMeasurement extends Measurement {
  postgresMicros: number
}

/** Loads all instances at once and splits the connections between them. */
async function measureTogether(
  instances: readonly BenchmarkSubject[],
  scenario: EngineScenario,
  seconds: number
): Promise<CombinedMeasurement> {
  const before = readPostgresCpuMicros()
  const results = await Promise.all(
    instances.map(async (instance) => {
      const requests = await scenario.getRequests(instance)
      const connections = Math.ceil(scenario.connections / instances.length)
      return await runLoad(instance, { requests, connections }, seconds)
    })
  )
  const sum = (pick: (result: Measurement) => number) =>
    results.reduce((total, result) => total + pick(result), 0)
  const mean = (pick: (result: Measurement) => number) =>
    sum((result) => pick(result) * result.requestsPerS) / sum(({ requestsPerS }) => requestsPerS)
  const requests = sum(({ requestsPerS }) => requestsPerS) * seconds
  return {
    requestsPerS: requests / seconds,
    p50Ms: mean(({ p50Ms }) => p50Ms),
    p99Ms: Math.max(...results.map(({ p99Ms }) => p99Ms)),
    cpuMicros: mean(({ cpuMicros }) => cpuMicros),
    failures: sum(({ failures }) => failures),
    postgresMicros: (readPostgresCpuMicros() - before) / requests
  }
}

/** Returns the processor time of PostgreSQL and its running and ended children, in microseconds. */
function readPostgresCpuMicros(): number {
  const { pid } = server.process()
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .split(' ')
      .filter(Boolean)
    return (
      ([String(pid), ...children].reduce(
        (sum, each) => sum + readCpuTicks(each, each === String(pid)),
        0
      ) /
        TICKS_PER_SECOND) *
      1e6
    )
  } catch {
    return NaN
  }
}

/** @param includeEndedChildren whether to add the time of its ended children */
function readCpuTicks(pid: string, includeEndedChildren: boolean): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
    .map(Number)
  return fields.slice(11, includeEndedChildren ? 15 : 13).reduce((sum, ticks) => sum + ticks, 0)
}

function formatRow(
  title: string,
  engineName: string,
  measured: readonly CombinedMeasurement[]
): string[] {
  const formatMedian = (pick: (result: CombinedMeasurement) => number, digits: number) =>
    median(measured.map(pick)).toFixed(digits)
  return [
    title,
    engineName,
    formatMedian(({ requestsPerS }) => requestsPerS, 0),
    formatMedian(({ p50Ms }) => p50Ms, 2),
    formatMedian(({ p99Ms }) => p99Ms, 2),
    formatMedian(({ cpuMicros }) => cpuMicros, 0),
    formatMedian(({ postgresMicros }) => postgresMicros, 0),
    String(measured.reduce((sum, { failures }) => sum + failures, 0))
  ]
}
