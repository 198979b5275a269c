import { availableParallelism, cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { createContenders, selectContenders, type ContenderPair } from './contenders.ts'
import { assignCores } from './cpu-pinning.ts'
import { createCredentials } from './credentials.ts'
import { ENGINES, openDatabases, type EngineName } from './databases.ts'
import { runLoad } from './load.ts'
import { COLUMNS, compareRounds, formatPercent, formatRows, summarize } from './report.ts'
import type { MeasurementRound } from './report.ts'
import { saveResults, type Result } from './results.ts'
import { scenarios, type Scenario } from './scenarios.ts'
import { formatTable } from './statistics.ts'

/** Compares the service with bare Fastify, or with itself under another setting. */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    connections: { type: 'string' },
    only: { type: 'string', default: '' },
    engine: { type: 'string', default: 'sqlite' },
    against: { type: 'string' },
    save: { type: 'string' },
    quick: { type: 'boolean', default: false }
  }
})
const seconds = Number(values.seconds ?? (values.quick ? 0.2 : 2))
const rounds = Number(values.rounds ?? (values.quick ? 1 : 6))
/** A quick run shows that everything works; its figures mean little. */
const maxWarmUpS = values.quick ? 0.1 : seconds * 5
const fixedConnections = values.connections === undefined ? undefined : Number(values.connections)
const selectedNames = values.only.split(',').filter(Boolean)
const engine = values.engine as EngineName
const selectedScenarios = scenarios.filter(({ name, withoutDatabase }) =>
  selectedNames.length === 0
    ? engine === 'sqlite' || withoutDatabase !== true
    : selectedNames.includes(name)
)
if (
  !(seconds >= 0.2) ||
  !Number.isSafeInteger(rounds) ||
  rounds < 1 ||
  !((fixedConnections ?? 1) >= 1) ||
  !ENGINES.includes(engine) ||
  selectedScenarios.length < selectedNames.length ||
  (values.against !== undefined && !/^[A-Z_]+=/.test(values.against))
) {
  console.error(
    'Usage: npm run bench -- [--quick] [--seconds 2] [--rounds 6] [--connections 64] ' +
      '[--engine sqlite|postgres] [--against SETTING=value] [--save NAME] ' +
      `[--only ${scenarios.map(({ name }) => name).join(',')}]`
  )
  process.exit(2)
}

const machineInfo =
  `Node ${process.versions.node}, ${availableParallelism()} cores, ` +
  (cpus()[0]?.model ?? 'unknown processor')
const cores = assignCores()
console.log(
  `Rounds: ${rounds} of ${seconds} s for each contender in turn, ${engine}. ${
    cores === undefined
      ? 'Load and servers share their cores (no taskset, or one core only).'
      : `Servers on core ${cores.server}, load on core ${cores.load} (taskset).`
  }\n`
)

const credentials = await createCredentials()
const databases = await openDatabases(engine)
const contenders = createContenders(databases, credentials, cores)
const getPair = (scenario: Scenario) => selectContenders(scenario, values.against)
const results: Result[] = []
try {
  for (const [i, scenario] of selectedScenarios.entries()) {
    const pair = getPair(scenario)
    const laterPairs = selectedScenarios.slice(i).map(getPair)
    await contenders.keepOnly(laterPairs.flatMap(({ subject, baseline }) => [subject, baseline]))
    await contenders.verify(
      pair,
      selectedScenarios.filter((other) => JSON.stringify(getPair(other)) === JSON.stringify(pair))
    )
    const measured = await measureScenario(scenario, pair)
    results.push(toResult(scenario, pair, measured))
    // What a run that is interrupted has measured stays.
    saveResults(values.save, results)
  }
} finally {
  await contenders.keepOnly([])
  await databases.remove()
}
console.log(`\n${formatTable([COLUMNS, ...results.flatMap(formatRows)])}\n`)
for (const { title, ratios, contenders: measured = [] } of results) {
  if (ratios !== null) continue
  const counts = measured.map(({ name, failures }) => `${name} ${failures}`).join(', ')
  console.log(`FAILED: ${title}: refused or failed requests (${counts}); it cannot be compared.`)
}
console.log(machineInfo)

/** Alternates the order, so that other load on the machine or a growing table favours neither. */
async function measureScenario(
  scenario: Scenario,
  pair: ContenderPair
): Promise<MeasurementRound[]> {
  const [subject, baseline] = await Promise.all([
    contenders.get(pair.subject),
    contenders.get(pair.baseline)
  ])
  const connections = fixedConnections ?? scenario.connections
  const [subjectRequests, baselineRequests] = [
    await scenario.getRequests(subject, credentials),
    await scenario.getRequests(baseline, credentials)
  ]
  const loadSubject = async (s: number) =>
    await runLoad(subject, { requests: subjectRequests, connections }, s)
  const loadBaseline = async (s: number) =>
    await runLoad(baseline, { requests: baselineRequests, connections }, s)
  await loadSubject(Math.min(scenario.warmUpS, maxWarmUpS))
  await loadBaseline(Math.min(scenario.warmUpS, maxWarmUpS))
  const measured: MeasurementRound[] = []
  for (let i = 0; i < rounds; i++) {
    if (i % 2 === 0) {
      const first = await loadSubject(seconds)
      measured.push({ subject: first, baseline: await loadBaseline(seconds) })
    } else {
      const first = await loadBaseline(seconds)
      measured.push({ subject: await loadSubject(seconds), baseline: first })
    }
  }
  return measured
}

function toResult(
  { name, title, connections }: Scenario,
  { subject, baseline }: ContenderPair,
  measured: readonly MeasurementRound[]
): Result {
  const ratios = compareRounds(measured)
  console.error(
    ratios === null
      ? `${title}: FAILED requests`
      : `${title}: ${formatPercent(ratios.requests)} of ${baseline.label} by requests, ` +
          `${formatPercent(ratios.cpu)} by processor time`
  )
  return {
    program: 'bench',
    name,
    title,
    engine,
    ...(values.against === undefined ? {} : { against: values.against }),
    conditions: { rounds, seconds, connections: fixedConnections ?? connections },
    contenders: [
      summarize(
        subject.label,
        measured.map((round) => round.subject)
      ),
      summarize(
        baseline.label,
        measured.map((round) => round.baseline)
      )
    ],
    ratios
  }
}
