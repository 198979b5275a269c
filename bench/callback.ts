import { assignCores } from './cpu-pinning.ts'
import { openDatabases } from './databases.ts'
import { readOptions } from './options.ts'
import { formatValues } from './report.ts'
import { saveResults } from './results.ts'
import { OAUTH_CLIENT } from './seed.ts'
import { percentile } from './statistics.ts'
import { startSubject } from './subject.ts'
import { startTokenEndpoint } from './token-endpoint.ts'

/**
 * Measures callbacks one after the other, each of a new user: the time beyond that of the token endpoint,
 * which runs in this process. `--seconds` is the time of one round.
 */
const { engine, rounds, seconds, save } = readOptions('bench:callback', {
  full: { rounds: 5, seconds: 4 },
  quick: { rounds: 1, seconds: 0.5 }
})
const WARM_UP_CALLBACKS = 20

const cores = assignCores()
const endpoint = await startTokenEndpoint(OAUTH_CLIENT.scopes)
const databases = await openDatabases(engine)
const service = await startSubject(
  'service',
  {
    databaseUrl: await databases.create('callback'),
    vaultKeys: databases.vaultKeys,
    userCount: 100,
    settings: {
      ALLOW_INSECURE: 'http_atlassian',
      ATLASSIAN_AUTH_URL: endpoint.url,
      ATLASSIAN_API_URL: endpoint.url
    }
  },
  cores
)
let userCount = 0
let failures = 0

/** One login and its callback. Only the callback is measured. */
async function measureCallback(): Promise<{ totalMs: number; beyondMs: number }> {
  const login = await fetch(
    `${service.url}/auth/jira/login?redirect=false&state=email%3Dp${++userCount}%40example.com`
  )
  const { url } = (await login.json()) as { url: string }
  const state = encodeURIComponent(new URL(url).searchParams.get('state') ?? '')
  endpoint.reset()
  const startedAt = performance.now()
  const response = await fetch(
    `${service.url}/auth/jira/callback?code=c${userCount}&state=${state}`,
    {
      redirect: 'manual'
    }
  )
  await response.arrayBuffer()
  const totalMs = performance.now() - startedAt
  const isSuccess = response.headers.get('location')?.includes('status=success') === true
  if (!isSuccess) failures++
  return { totalMs, beyondMs: totalMs - endpoint.getOwnMs() }
}

const callbacks: Array<{ totalMs: number; beyondMs: number }> = []
let cpuMicros = 0
try {
  for (let i = 0; i < WARM_UP_CALLBACKS; i++) await measureCallback()
  for (let round = 0; round < rounds; round++) {
    const before = await service.getUsage()
    const deadline = performance.now() + seconds * 1000
    while (performance.now() < deadline) callbacks.push(await measureCallback())
    cpuMicros += (await service.getUsage()).cpuMicros - before.cpuMicros
  }
} finally {
  await service.stop()
  await databases.remove()
  endpoint.close()
}

const toSorted = (pick: (each: { totalMs: number; beyondMs: number }) => number) =>
  callbacks.map(pick).sort((a, b) => a - b)
const beyond = toSorted(({ beyondMs }) => beyondMs)
const total = toSorted(({ totalMs }) => totalMs)
const values = [
  { label: 'beyond the token endpoint, p50', value: percentile(beyond, 0.5), unit: 'ms' },
  { label: 'beyond the token endpoint, p99', value: percentile(beyond, 0.99), unit: 'ms' },
  { label: 'with the token endpoint, p50', value: percentile(total, 0.5), unit: 'ms' },
  { label: 'login and callback, processor time', value: cpuMicros / callbacks.length, unit: 'µs' },
  { label: 'failed callbacks', value: failures, unit: '' }
]
console.log(
  formatValues(`${callbacks.length} callbacks of new users, one after the other, ${engine}`, values)
)
if (failures > 0) console.log(`FAILED: ${failures} callbacks did not end in status=success.`)
saveResults(save, [
  {
    program: 'bench:callback',
    name: 'callback',
    title: 'GET /auth/jira/callback',
    engine,
    conditions: { rounds, seconds, callbacks: callbacks.length },
    values
  }
])
