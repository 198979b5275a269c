import autocannon from 'autocannon'
import type { BenchmarkSubject } from './subject.ts'
import { percentile } from './statistics.ts'
import type { RequestList } from './scenarios.ts'

const MAX_SECONDS = 20

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

/** The requests of a scenario, and how many of them are sent at a time. */
export interface Load {
  requests: RequestList
  connections: number
}

/** Loads one subject for `seconds`, or for longer if it answers nothing in that time. */
export async function runLoad(
  subject: BenchmarkSubject,
  load: Load,
  seconds: number
): Promise<Measurement> {
  for (let duration = seconds; ; duration *= 2) {
    const measured = await loadOnce(subject, load, duration)
    if (measured.failures > 0 || measured.requestsPerS > 0 || duration > MAX_SECONDS) {
      return measured
    }
  }
}

async function loadOnce(
  { url, getUsage }: BenchmarkSubject,
  { requests, connections }: Load,
  seconds: number
): Promise<Measurement> {
  const latencies: number[] = []
  const before = await getUsage()
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
  const cpuMicros = (await getUsage()).cpuMicros - before.cpuMicros
  latencies.sort((a, b) => a - b)
  return {
    requestsPerS: (latencies.length / (endedAt - startedAt)) * 1000,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    cpuMicros: cpuMicros / latencies.length,
    failures: errors + non2xx
  }
}

function hasPlaceholder(requests: RequestList): boolean {
  return requests.some(({ path, body = '' }) => (path + body).includes('[<id>]'))
}
