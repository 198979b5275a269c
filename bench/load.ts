import autocannon from 'autocannon'
import type { BenchmarkSubject } from './subject.ts'
import { percentile } from './statistics.ts'
import type { Scenario } from './scenarios.ts'

/** Results of one run of load against one subject. */
export interface Measurement {
  requestsPerS: number
  p50Ms: number
  p99Ms: number
  /** Processor time of the subject per request: nearly independent of other load on the machine. */
  cpuMicros: number
  /** Responses other than 2xx, and requests without a response. */
  failures: number
}

/** Loads one subject for `seconds` with `scenario.connections` concurrent requests. */
export async function runLoad(
  { url, cpuMicros }: BenchmarkSubject,
  { requests, connections }: Scenario,
  seconds: number
): Promise<Measurement> {
  const latencies: number[] = []
  const cpuBefore = await cpuMicros()
  const startedAt = performance.now()
  let endedAt = startedAt
  const { errors, non2xx } = await autocannon({
    url,
    connections,
    duration: seconds,
    sampleInt: 50,
    requests,
    idReplacement: hasPlaceholder(requests)
  }).on('response', (_client, _status, _bytes, ms) => {
    latencies.push(ms)
    endedAt = performance.now()
  })
  const cpu = (await cpuMicros()) - cpuBefore
  latencies.sort((a, b) => a - b)
  return {
    requestsPerS: (latencies.length / (endedAt - startedAt)) * 1000,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    cpuMicros: cpu / latencies.length,
    failures: errors + non2xx
  }
}

function hasPlaceholder(requests: Scenario['requests']): boolean {
  return requests.some(({ path, body = '' }) => (path + body).includes('[<id>]'))
}
