import { median } from './statistics.ts'
import type { Measurement } from './load.ts'

/** One measurement of each subject, taken one after the other. */
export interface MeasurementRound {
  service: Measurement
  bare: Measurement
}

export const COLUMNS = [
  'scenario',
  'subject',
  'requests/s',
  'p50 ms',
  'p99 ms',
  'cpu µs',
  'failed',
  'service/bare',
  'by cpu'
]

/** Medians of one subject in one scenario; the service's row also has the ratios. */
export function formatReportRow(
  title: string,
  subject: string,
  measured: readonly Measurement[],
  rounds?: readonly MeasurementRound[]
): string[] {
  const formatMedian = (pick: (measurement: Measurement) => number, digits: number) =>
    median(measured.map(pick)).toFixed(digits)
  return [
    title,
    subject,
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

/** Formats a progress line: the ratio of every round. */
export function formatComparison(rounds: readonly MeasurementRound[]): string {
  const ratios = requestRateRatios(rounds)
  const perRound = ratios.map((ratio) => formatPercent([ratio])).join(' ')
  return `${formatPercent(ratios)} of bare Fastify's requests/s (rounds: ${perRound})`
}

function requestRateRatios(rounds: readonly MeasurementRound[]): number[] {
  return rounds.map(({ service, bare }) => service.requestsPerS / bare.requestsPerS)
}

/** Bare divided by service, so that more is better. */
function cpuRatios(rounds: readonly MeasurementRound[]): number[] {
  return rounds.map(({ service, bare }) => bare.cpuMicros / service.cpuMicros)
}

function formatPercent(ratios: readonly number[]): string {
  return `${(median(ratios) * 100).toFixed(0)} %`
}
