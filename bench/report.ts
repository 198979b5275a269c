import { formatTable, median } from './statistics.ts'
import type { Measurement } from './load.ts'
import type { ContenderResult, Result, ResultValue } from './results.ts'

/** One measurement of each contender, taken one after the other. */
export interface MeasurementRound {
  subject: Measurement
  baseline: Measurement
}

export const COLUMNS = [
  'scenario',
  'contender',
  'requests/s',
  'p50 ms',
  'p99 ms',
  'cpu µs',
  'failed',
  'of requests',
  'by cpu'
]

/** Medians of all rounds of one contender. */
export function summarize(name: string, measured: readonly Measurement[]): ContenderResult {
  const getMedian = (pick: (measurement: Measurement) => number) => median(measured.map(pick))
  return {
    name,
    requestsPerS: getMedian(({ requestsPerS }) => requestsPerS),
    p50Ms: getMedian(({ p50Ms }) => p50Ms),
    p99Ms: getMedian(({ p99Ms }) => p99Ms),
    cpuMicros: getMedian(({ cpuMicros }) => cpuMicros),
    failures: measured.reduce((sum, { failures }) => sum + failures, 0)
  }
}

/**
 * The medians of the ratios of neighbours, so that more is better.
 *
 * @returns null if a request failed: a refusal costs less than an answer, so the ratio means nothing
 */
export function compareRounds(
  rounds: readonly MeasurementRound[]
): (Result['ratios'] & object) | null {
  if (rounds.some(({ subject, baseline }) => subject.failures + baseline.failures > 0)) return null
  return {
    requests: median(
      rounds.map(({ subject, baseline }) => subject.requestsPerS / baseline.requestsPerS)
    ),
    cpu: median(rounds.map(({ subject, baseline }) => baseline.cpuMicros / subject.cpuMicros))
  }
}

/** The rows of one scenario: the contender with the ratios, and what it is compared with. */
export function formatRows({ title, contenders = [], ratios }: Result): string[][] {
  return contenders.map(({ name, requestsPerS, p50Ms, p99Ms, cpuMicros, failures }, i) => [
    i === 0 ? title : '',
    name,
    requestsPerS.toFixed(0),
    p50Ms.toFixed(2),
    p99Ms.toFixed(2),
    cpuMicros.toFixed(0),
    String(failures),
    ...(i > 0
      ? ['', '']
      : ratios === null || ratios === undefined
        ? ['FAILED', 'FAILED']
        : [formatPercent(ratios.requests), formatPercent(ratios.cpu)])
  ])
}

export function formatPercent(ratio: number): string {
  return `${(ratio * 100).toFixed(0)} %`
}

const SIGNIFICANT_DIGITS = 4

/** A title with a table of figures below it. */
export function formatValues(title: string, values: readonly ResultValue[]): string {
  const rows = values.map(({ label, value, unit }) => [
    `  ${label}`,
    `${Number(value.toPrecision(SIGNIFICANT_DIGITS))} ${unit}`
  ])
  return `${title}\n${formatTable(rows)}\n`
}
