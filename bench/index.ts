import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { assertSameAnswers } from './verify-same-answers.ts'
import { startSubject, type BenchmarkSubject } from './subject.ts'
import { assignCores } from './cpu-pinning.ts'
import { runLoad } from './load.ts'
import { COLUMNS, formatComparison, formatReportRow, type MeasurementRound } from './report.ts'
import { formatTable } from './statistics.ts'
import { scenarios, type Scenario } from './scenarios.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '6' },
    only: { type: 'string', default: '' }
  }
})
const [seconds, rounds] = [Number(values.seconds), Number(values.rounds)]
const selectedNames = values.only.split(',').filter(Boolean)
const selectedScenarios =
  selectedNames.length === 0
    ? scenarios
    : scenarios.filter(({ name }) => selectedNames.includes(name))
if (
  !(seconds >= 0.2) ||
  !Number.isSafeInteger(rounds) ||
  rounds < 1 ||
  selectedScenarios.length < selectedNames.length ||
  selectedScenarios.length === 0
) {
  console.error(
    `Usage: npm run bench -- [--seconds 2] [--rounds 6] [--only ${scenarios.map(({ name }) => name).join(',')}]`
  )
  process.exit(2)
}

const folder = mkdtempSync(join(tmpdir(), 'bench-'))
process.once('exit', () => {
  rmSync(folder, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

const machineInfo = `Node ${process.versions.node}, ${availableParallelism()} cores, ${cpus()[0]?.model ?? 'unknown processor'}`
const cores = assignCores()
console.log(
  `${rounds} rounds of ${seconds} s for each contender in turn. ${
    cores === undefined
      ? 'Load and servers share their cores (no taskset, or one core only).'
      : `Servers on core ${cores.server}, load on core ${cores.load} (taskset).`
  }\n`
)

const service = await startSubject('service', folder, cores)
const bare = await startSubject('bare', folder, cores)
try {
  for (const scenario of selectedScenarios) await assertSameAnswers([service, bare], scenario)
  const rows: string[][] = [COLUMNS]
  for (const scenario of selectedScenarios) {
    const measured = await measureScenario(scenario, service, bare)
    console.error(`${scenario.title}: ${formatComparison(measured)}`)
    rows.push(
      formatReportRow(
        scenario.title,
        'service',
        measured.map((round) => round.service),
        measured
      )
    )
    rows.push(
      formatReportRow(
        '',
        'bare',
        measured.map((round) => round.bare)
      )
    )
  }
  console.log(`\n${formatTable(rows)}\n`)
} finally {
  await Promise.all([service.stop(), bare.stop()])
}
console.log(machineInfo)

/** Alternates, and changes who begins, so that a busy neighbour or a growing table favours nobody. */
async function measureScenario(
  scenario: Scenario,
  service: BenchmarkSubject,
  bare: BenchmarkSubject
): Promise<MeasurementRound[]> {
  for (const contender of [service, bare]) await runLoad(contender, scenario, scenario.warmUpS)
  const measured: MeasurementRound[] = []
  for (let i = 0; i < rounds; i++) {
    const first = i % 2 === 0 ? service : bare
    const firstResult = await runLoad(first, scenario, seconds)
    const secondResult = await runLoad(first === service ? bare : service, scenario, seconds)
    measured.push(
      first === service
        ? { service: firstResult, bare: secondResult }
        : { service: secondResult, bare: firstResult }
    )
  }
  return measured
}
