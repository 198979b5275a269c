import { median } from './statistics.ts'
import type { Measurement } from './load.ts'

/** One measurement of each contender, taken one right after the other. */
export interface MeasurementRound {
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
export function formatReportRow(
  title: string,
  contender: string,
  measured: readonly Measurement[],
  rounds?: readonly MeasurementRound[]
): string[] {
  const formatMedian = (pick: (measurement: Measurement) => number, digits: number) =>
    median(measured.map(pick)).toFixed(digits)
  return [
    title,
    contender,
    formatMedian(({ requestsPerS }) => requestsPerS, 0),
    formatMedian(({ p50Ms }) => p50Ms, 2),
    formatMedian(({ p99Ms }) => p99Ms, 2),
    formatMedian(({ cpuMicros }) => cpuMicros, 0),
    String(measured.reduce((sum, { failures }) => sum + failures, 0)),
    ...(rounds === undefined
      ? ['', '']
      : [formatPercent(requestRateRatios(rounds)), formatPercent(cpuRatios(rounds))])
  ]
}

/** One line of progress: the ratio of every round. */
export function formatComparison(rounds: readonly MeasurementRound[]): string {
  return `${formatPercent(requestRateRatios(rounds))} of bare Fastify's requests/s (rounds: ${requestRateRatios(
    rounds
  )
    .map((ratio) => formatPercent([ratio]))
    .join(' ')})`
}

function requestRateRatios(rounds: readonly MeasurementRound[]): number[] {
  return rounds.map(({ service, bare }) => service.requestsPerS / bare.requestsPerS)
}

/** Turned round, so that here too more is better. */
function cpuRatios(rounds: readonly MeasurementRound[]): number[] {
  return rounds.map(({ service, bare }) => bare.cpuMicros / service.cpuMicros)
}

function formatPercent(ratios: readonly number[]): string {
  return `${(median(ratios) * 100).toFixed(0)} %`
}
