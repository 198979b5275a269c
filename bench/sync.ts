import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { percentile, table } from './statistics.ts'
import type { Measured } from './sync-run.ts'

/**
 * Pages copied per second, beside the ceiling (the same rows, already in memory, through one prepared upsert in batches, plus
 * JSON.parse of the same bytes); then how time and memory grow with the number of pages, and what a run costs in which
 * nothing has changed.
 */
const { values } = parseArgs({
  options: {
    pages: { type: 'string', default: '100000' },
    rounds: { type: 'string', default: '3' },
    growth: { type: 'string', default: '10000,100000,1000000' }
  }
})

/** As `npm start` has them. */
const MEMORY = ['--max-semi-space-size=8', '--heap-growing-percent=40']

async function measure(pages: string, beside: 'thread' | 'process'): Promise<Measured> {
  const child = fork(fileURLToPath(new URL('sync-run.ts', import.meta.url)), [pages, beside], {
    execArgv: MEMORY
  })
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`The measurement ended early (${String(code)})`)
  })
  const [measured] = (await Promise.race([once(child, 'message'), ended])) as [Measured]
  await ended.catch(() => {})
  return measured
}

const perSecond = (pages: number, ms: number) =>
  Math.round((pages / ms) * 1000).toLocaleString('en')
const MIB = 2 ** 20

if (Number(values.rounds) > 0) {
  const rounds: Measured[] = []
  for (let i = 0; i < Number(values.rounds); i++) rounds.push(await measure(values.pages, 'thread'))
  console.log(
    table([
      ['pages', 'copied/s', 'ceiling/s', 'of the ceiling'],
      ...rounds.map(({ pages, firstMs, ceilingMs }) => [
        String(pages),
        perSecond(pages, firstMs),
        perSecond(pages, ceilingMs ?? NaN),
        `${Math.round((100 * (ceilingMs ?? NaN)) / firstMs)} %`
      ])
    ])
  )
  const shares = rounds
    .map(({ firstMs, ceilingMs }) => (100 * (ceilingMs ?? NaN)) / firstMs)
    .sort((a, b) => a - b)
  console.log(`median ${Math.round(percentile(shares, 0.5))} % of the ceiling\n`)
}

const growth = values.growth === '' ? [] : values.growth.split(',')
const rows = [
  [
    'pages',
    'time',
    'per 1,000',
    'calls',
    'highest RSS',
    'longest stall',
    'nothing changed',
    'calls'
  ]
]
for (const pages of growth) {
  const { firstMs, calls, rss, stallMs, againMs, againCalls } = await measure(pages, 'process')
  rows.push([
    pages,
    `${(firstMs / 1000).toFixed(1)} s`,
    `${((firstMs / Number(pages)) * 1000).toFixed(1)} ms`,
    String(calls),
    `${Math.round(rss / MIB)} MiB`,
    `${stallMs.toFixed(0)} ms`,
    `${againMs} ms`,
    String(againCalls)
  ])
}
if (growth.length > 0) console.log(table(rows))
