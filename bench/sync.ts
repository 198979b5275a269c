import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { saveResults, type Result } from './results.ts'
import { percentile, formatTable } from './statistics.ts'
import type { SyncMeasurement } from './sync-run.ts'

/**
 * Measures pages copied per second beside a baseline (the same rows, already in memory, through one
 * prepared upsert in batches, plus JSON.parse of the same bytes), then the growth of time and memory
 * with the number of pages, and the cost of a run without changes.
 */
const { values } = parseArgs({
  options: {
    pages: { type: 'string' },
    rounds: { type: 'string' },
    growth: { type: 'string' },
    save: { type: 'string' },
    quick: { type: 'boolean', default: false }
  }
})
const pageCount = values.pages ?? (values.quick ? '2000' : '100000')
const roundCount = Number(values.rounds ?? (values.quick ? 1 : 3))
const growth = values.growth ?? (values.quick ? '2000' : '10000,100000,1000000')

async function measureSync(
  pages: string,
  sandboxMode: 'thread' | 'process'
): Promise<SyncMeasurement> {
  const child = fork(fileURLToPath(new URL('sync-run.ts', import.meta.url)), [pages, sandboxMode])
  const exited = once(child, 'exit').then(([code]) => {
    throw new Error(`The measurement exited early (code ${String(code)})`)
  })
  const [measurement] = (await Promise.race([once(child, 'message'), exited])) as [SyncMeasurement]
  await exited.catch(() => {})
  return measurement
}

const formatPerSecond = (pages: number, ms: number) =>
  Math.round((pages / ms) * 1000).toLocaleString('en')
const MIB = 2 ** 20
const results: Result[] = []
const addResult = (
  name: string,
  title: string,
  conditions: Result['conditions'],
  values: NonNullable<Result['values']>
) => {
  results.push({ program: 'bench:sync', name, title, engine: 'sqlite', conditions, values })
}

if (roundCount > 0) {
  const rounds: SyncMeasurement[] = []
  for (let i = 0; i < roundCount; i++) {
    rounds.push(await measureSync(pageCount, 'thread'))
  }
  console.log(
    formatTable([
      ['pages', 'copied/s', 'baseline/s', 'of the baseline'],
      ...rounds.map(({ pages, fullSyncMs, baselineMs }) => [
        String(pages),
        formatPerSecond(pages, fullSyncMs),
        formatPerSecond(pages, baselineMs ?? NaN),
        `${Math.round((100 * (baselineMs ?? NaN)) / fullSyncMs)} %`
      ])
    ])
  )
  const baselineShares = rounds
    .map(({ fullSyncMs, baselineMs }) => (100 * (baselineMs ?? NaN)) / fullSyncMs)
    .sort((a, b) => a - b)
  console.log(`median ${Math.round(percentile(baselineShares, 0.5))} % of the baseline\n`)
  addResult(
    'baseline',
    'First sync, against the baseline',
    { pages: pageCount, rounds: roundCount },
    [{ label: 'of the baseline', value: percentile(baselineShares, 0.5), unit: '%' }]
  )
}

const growthSizes = growth === '' ? [] : growth.split(',')
const rows = [
  ['pages', 'time', 'per 1,000', 'calls', 'highest RSS', 'longest stall', 'unchanged run', 'calls']
]
for (const pages of growthSizes) {
  const {
    fullSyncMs,
    fullSyncCalls,
    maxRssBytes,
    maxStallMs,
    unchangedSyncMs,
    unchangedSyncCalls
  } = await measureSync(pages, 'process')
  addResult(
    `pages-${pages}`,
    `Sync of ${Number(pages).toLocaleString('en')} pages`,
    { rounds: 1 },
    [
      { label: 'first run', value: fullSyncMs, unit: 'ms' },
      { label: 'pages copied', value: (Number(pages) / fullSyncMs) * 1000, unit: '/s' },
      { label: 'incremental run, nothing new', value: unchangedSyncMs, unit: 'ms' },
      { label: 'highest resident memory', value: maxRssBytes / MIB, unit: 'MiB' },
      { label: 'longest stall of the event loop', value: maxStallMs, unit: 'ms' }
    ]
  )
  rows.push([
    pages,
    `${(fullSyncMs / 1000).toFixed(1)} s`,
    `${((fullSyncMs / Number(pages)) * 1000).toFixed(1)} ms`,
    String(fullSyncCalls),
    `${Math.round(maxRssBytes / MIB)} MiB`,
    `${maxStallMs.toFixed(0)} ms`,
    `${unchangedSyncMs} ms`,
    String(unchangedSyncCalls)
  ])
}
if (growthSizes.length > 0) console.log(formatTable(rows))
saveResults(values.save, results)
