import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { listResults, readResults, type ResultFile, type SavedResult } from './results.ts'
import { drawChart } from './performance-chart.ts'
import { evaluateTarget, formatPercent, formatValue, TARGETS } from './performance-targets.ts'

// Writes docs/performance.md and its charts from bench/results/*.json and bench/explanations.md
// (`npm run docs:performance`).
const DOCS = new URL('../docs/', import.meta.url)
const PICTURES = new URL('pictures/', DOCS)
const ENGINE_NAMES: Record<string, string> = { sqlite: 'SQLite', postgres: 'PostgreSQL' }
const files = listResults().flatMap((name) => {
  const file = readResults(name)
  return file === undefined ? [] : [{ name, ...file }]
})
const shown =
  files.length > 1 ? [files[0], files.at(-1)].filter((each) => each !== undefined) : files
const newest = files.at(-1)
if (newest === undefined) {
  throw new Error('bench/results has no results (npm run bench -- --save NAME).')
}

const table = (header: readonly string[], rows: readonly string[][]) =>
  [header, header.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')

function buildTargetTable(): string {
  const rows = TARGETS.map((target) => {
    const evaluated = shown.map(({ results }) => evaluateTarget(target, results))
    const latest = evaluated.at(-1)
    const verdict = latest === null || latest === undefined ? '–' : latest.isMet ? 'yes' : 'no'
    return [target.title, target.text, ...evaluated.map((each) => each?.text ?? '–'), verdict]
  })
  return table(['', 'Target', ...shown.map(({ name }) => `\`${name}\``), 'Met'], rows)
}

function isCompared(result: SavedResult, engine: string): boolean {
  return result.program === 'bench' && result.engine === engine && result.against === undefined
}

/** The ratios by processor time of all saved results, in the order in which they were measured. */
function buildStepTable(engine: string): string {
  const scenarios = new Map(
    files.flatMap(({ results }) =>
      results.filter((each) => isCompared(each, engine)).map((each) => [each.name, each.title])
    )
  )
  const rows = [...scenarios].map(([name, title]) => [
    title,
    ...files.map((file) => {
      const result = findScenario(file, engine, name)
      if (result === undefined) return '–'
      return result.ratios == null ? 'requests failed' : formatPercent(result.ratios.cpu)
    })
  ])
  return table(['By processor time', ...files.map(({ name }) => `\`${name}\``)], rows)
}

function findScenario({ results }: ResultFile, engine: string, name: string) {
  return results.find((each) => isCompared(each, engine) && each.name === name)
}

/** Draws the ratios of the first and of the latest results. @returns the file's name */
function writeChart(engine: string): string {
  const fileName = `performance-${engine}.svg`
  const names = new Map(
    shown.flatMap(({ results }) =>
      results.filter((each) => isCompared(each, engine)).map((each) => [each.name, each.title])
    )
  )
  const rows = [...names].map(([name, label]) => {
    const target = TARGETS.find((each) => each.engine === engine && each.scenario === name)
    return {
      label,
      bars: shown.map((file) => findScenario(file, engine, name)?.ratios?.cpu),
      target: target !== undefined && 'ratio' in target.limit ? target.limit.ratio : undefined
    }
  })
  const title = `Of bare Fastify, by processor time of a request, ${ENGINE_NAMES[engine] ?? engine}`
  const series = shown.map(({ name }) => name)
  writeFileSync(new URL(fileName, PICTURES), drawChart(title, series, rows))
  return fileName
}

function buildComparisons(results: readonly SavedResult[]): string {
  const rows = results.flatMap(({ title, engine, against, contenders = [], ratios, conditions }) =>
    contenders.map(({ name, requestsPerS, p50Ms, p99Ms, cpuMicros, failures }, i) => [
      i === 0 ? `${title}${against === undefined ? '' : `, ${against}`}` : '',
      name,
      formatValue(requestsPerS, ''),
      `${formatValue(p50Ms, '')} · ${formatValue(p99Ms, '')}`,
      formatValue(cpuMicros, ''),
      String(failures),
      ...(i > 0
        ? ['', '']
        : [
            ratios == null
              ? 'requests failed'
              : `${formatPercent(ratios.requests)} · ${formatPercent(ratios.cpu)}`,
            `${ENGINE_NAMES[engine] ?? engine}, ${formatConditions(conditions)}`
          ])
    ])
  )
  const header = [
    '',
    '',
    'requests/s',
    'p50 · p99 ms',
    'cpu µs',
    'failed',
    'requests · cpu',
    'Measured with'
  ]
  return rows.length === 0 ? '' : `${table(header, rows)}\n`
}

function buildValues(results: readonly SavedResult[]): string {
  const rows = results.flatMap(({ title, engine, values = [], conditions }) =>
    values.map(({ label, value, unit }, i) => [
      i === 0 ? title : '',
      label,
      formatValue(value, unit),
      i === 0 ? `${ENGINE_NAMES[engine] ?? engine}, ${formatConditions(conditions)}` : ''
    ])
  )
  return rows.length === 0 ? '' : `${table(['', '', '', 'Measured with'], rows)}\n`
}

function formatConditions(conditions: SavedResult['conditions']): string {
  return Object.entries(conditions)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}

function buildSection({ name, machine, results }: ResultFile & { name: string }): string {
  const commits = [...new Set(results.map(({ commit }) => commit))].join(', ')
  const dates = results.map(({ measuredAt }) => measuredAt.slice(0, 10)).sort()
  return `## Results: ${name}

Measured ${dates[0] ?? ''} to ${dates.at(-1) ?? ''}, commit ${commits}, Node ${machine.node},
${machine.cores} cores, ${machine.processor}.

${buildComparisons(results)}
${buildValues(results)}`
}

for (const old of readdirSync(PICTURES)) {
  if (/^performance-.*\.svg$/.test(old)) rmSync(new URL(old, PICTURES))
}
const engines = ['sqlite', 'postgres'].filter((engine) =>
  files.some(({ results }) => results.some((each) => isCompared(each, engine)))
)
const engineSections = engines.map(
  (engine) => `### ${ENGINE_NAMES[engine] ?? engine}

![Ratios by processor time](pictures/${writeChart(engine)})

${buildStepTable(engine)}
`
)

const text = `# Performance

Generated by \`npm run docs:performance\` from \`bench/results/*.json\` and
\`bench/explanations.md\`; do not edit it.

Ratios compare the service with bare Fastify, which gives the same responses and writes the same log lines,
with one prepared statement for each request and a commit for each write. Both run in turn on one core of the
same machine; the first ratio is by requests per second, the second by processor time of a request. 100 % is
bare Fastify, more is better. Processor time hardly depends on other load on the machine; requests per second
and latencies do. A scenario with refused or failed requests has no ratio. "Measured with" names the rounds
and seconds of each figure; [bench/README.md](../bench/README.md) says what each program does.

## Targets

${buildTargetTable()}

${readFileSync(new URL('explanations.md', import.meta.url), 'utf8')}
## Steps

${engineSections.join('\n')}
${shown.map(buildSection).join('\n')}
## Repeat it

    npm run bench -- --save NAME
    npm run bench -- --engine postgres --save NAME
    npm run bench:mixed -- --save NAME
    npm run bench:callback -- --save NAME
    npm run bench:connections -- --save NAME
    npm run bench:start -- --save NAME
    npm run bench:tokens -- --save NAME
    npm run bench:writers -- --save NAME
    npm run bench:sync -- --save NAME
    npm run docs:performance

\`bench\`, \`bench:mixed\`, \`bench:callback\` and \`bench:connections\` take \`--rounds\` and
\`--seconds\`. Each writes its part of \`bench/results/<NAME>.json\`, in place of an earlier one.
`
writeFileSync(new URL('performance.md', DOCS), text.replaceAll(/\n{3,}/g, '\n\n'))
