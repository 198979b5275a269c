import { median } from './statistics.ts'
import type { Measurement } from './load.ts'

/** One measurement of each contender, taken one right after the other. */
export interface Round {
  service: Measurement
  bare: Measurement
}

export const COLUMNS = [
  'scenario',
  'contender',
  'requests/s',
  'p50 ms',
  'p99 ms',
  'cpu µs',
  'failed',
  'service/bare',
  'by cpu'
]

/** One contender's medians of one scenario; the ratios go with the service's line. */
export function row(
  title: string,
  contender: string,
  measured: readonly Measurement[],
  rounds?: readonly Round[]
): string[] {
  const middle = (pick: (measurement: Measurement) => number, digits: number) =>
    median(measured.map(pick)).toFixed(digits)
  return [
    title,
    contender,
    middle(({ requestsPerS }) => requestsPerS, 0),
    middle(({ p50Ms }) => p50Ms, 2),
    middle(({ p99Ms }) => p99Ms, 2),
    middle(({ cpuMicros }) => cpuMicros, 0),
    String(measured.reduce((sum, { failures }) => sum + failures, 0)),
    ...(rounds === undefined ? ['', ''] : [percent(rates(rounds)), percent(costs(rounds))])
  ]
}

/** One line of progress: the ratio of every round. */
export function compare(rounds: readonly Round[]): string {
  return `${percent(rates(rounds))} of bare Fastify's requests/s (rounds: ${rates(rounds)
    .map((ratio) => percent([ratio]))
    .join(' ')})`
}

function rates(rounds: readonly Round[]): number[] {
  return rounds.map(({ service, bare }) => service.requestsPerS / bare.requestsPerS)
}

/** Turned round, so that here too more is better. */
function costs(rounds: readonly Round[]): number[] {
  return rounds.map(({ service, bare }) => bare.cpuMicros / service.cpuMicros)
}

function percent(ratios: readonly number[]): string {
  return `${(median(ratios) * 100).toFixed(0)} %`
}
