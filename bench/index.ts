import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { agree } from './verify-same-answers.ts'
import { startContender, type Contender } from './subject.ts'
import { divideCores } from './cpu-pinning.ts'
import { load } from './load.ts'
import { COLUMNS, compare, row, type Round } from './report.ts'
import { table } from './statistics.ts'
import { scenarios, type Scenario } from './scenarios.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '6' },
    only: { type: 'string', default: '' }
  }
})
const [seconds, rounds] = [Number(values.seconds), Number(values.rounds)]
const names = values.only.split(',').filter(Boolean)
const chosen = names.length === 0 ? scenarios : scenarios.filter(({ name }) => names.includes(name))
if (
  !(seconds >= 0.2) ||
  !Number.isSafeInteger(rounds) ||
  rounds < 1 ||
  chosen.length < names.length ||
  chosen.length === 0
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

const facts = `Node ${process.versions.node}, ${availableParallelism()} cores, ${cpus()[0]?.model ?? 'unknown processor'}`
const cores = divideCores()
console.log(
  `${rounds} rounds of ${seconds} s for each contender in turn. ${
    cores === undefined
      ? 'Load and servers share their cores (no taskset, or one core only).'
      : `Servers on core ${cores.server}, load on core ${cores.load} (taskset).`
  }\n`
)

const service = await startContender('service', folder, cores)
const bare = await startContender('bare', folder, cores)
try {
  for (const scenario of chosen) await agree([service, bare], scenario)
  const rows: string[][] = [COLUMNS]
  for (const scenario of chosen) {
    const measured = await measure(scenario, service, bare)
    console.error(`${scenario.title}: ${compare(measured)}`)
    rows.push(
      row(
        scenario.title,
        'service',
        measured.map((round) => round.service),
        measured
      )
    )
    rows.push(
      row(
        '',
        'bare',
        measured.map((round) => round.bare)
      )
    )
  }
  console.log(`\n${table(rows)}\n`)
} finally {
  await Promise.all([service.stop(), bare.stop()])
}
console.log(facts)

/** Alternates, and changes who begins, so that a busy neighbour or a growing table favours nobody. */
async function measure(scenario: Scenario, service: Contender, bare: Contender): Promise<Round[]> {
  for (const contender of [service, bare]) await load(contender, scenario, scenario.warmUpS)
  const measured: Round[] = []
  for (let i = 0; i < rounds; i++) {
    const first = i % 2 === 0 ? service : bare
    const begun = await load(first, scenario, seconds)
    const other = await load(first === service ? bare : service, scenario, seconds)
    measured.push(
      first === service ? { service: begun, bare: other } : { service: other, bare: begun }
    )
  }
  return measured
}
