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
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    only: { type: 'string', default: '' },
    quick: { type: 'boolean', default: false }
  }
})
const seconds = Number(values.seconds ?? (values.quick ? 0.3 : 2))
const rounds = Number(values.rounds ?? (values.quick ? 1 : 6))
/** A quick run shows that everything works; its figures mean little. */
const maxWarmUpS = values.quick ? 0.3 : Infinity
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
    'Usage: npm run bench -- [--quick] [--seconds 2] [--rounds 6] ' +
      `[--only ${scenarios.map(({ name }) => name).join(',')}]`
  )
  process.exit(2)
}

const folder = mkdtempSync(join(tmpdir(), 'bench-'))
process.once('exit', () => {
  rmSync(folder, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

const cpuModel = cpus()[0]?.model ?? 'unknown processor'
const machineInfo = `Node ${process.versions.node}, ${availableParallelism()} cores, ${cpuModel}`
const cores = assignCores()
console.log(
  `Rounds: ${rounds} of ${seconds} s for each subject in turn. ${
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

/** Alternates the order, so that other load on the machine or a growing table favours neither subject. */
async function measureScenario(
  scenario: Scenario,
  service: BenchmarkSubject,
  bare: BenchmarkSubject
): Promise<MeasurementRound[]> {
  for (const subject of [service, bare]) {
    await runLoad(subject, scenario, Math.min(scenario.warmUpS, maxWarmUpS))
  }
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
