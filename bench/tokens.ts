import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { buildApp } from '../src/app.ts'
import { generateKeyEntry } from '../src/vault/keyring.ts'
import { saveResults } from './results.ts'
import { percentile, formatTable } from './statistics.ts'

/** Measures access tokens: from the cache, read and decrypted, and many grants refreshed at once. */
const { values } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, save: { type: 'string' } }
})
const GRANT_COUNT = values.quick ? 50 : 1_000
const CALL_COUNT = values.quick ? 2_000 : 50_000
const TWO_HOURS_MS = 7_200_000
const CALLBACK_URL = 'http://localhost:3001/auth/jira/callback'

const folder = mkdtempSync(join(tmpdir(), 'bench-'))
process.once('exit', () => {
  rmSync(folder, { recursive: true, force: true })
})
const sandbox = fork(fileURLToPath(new URL('token-sandbox.ts', import.meta.url)), [
  String(GRANT_COUNT)
])
const [{ port }] = (await once(sandbox, 'message')) as [{ port: number }]
const url = `http://127.0.0.1:${port}`
let clockOffsetMs = 0

const app = await buildApp({
  now: () => Date.now() + clockOffsetMs,
  env: {
    APP_ENV: 'test',
    INTEGRATION_DB_URL: `sqlite:///${join(folder, 'tokens.db')}`,
    VAULT_KEYS: generateKeyEntry('bench'),
    ATLASSIAN_AUTH_URL: url,
    ATLASSIAN_API_URL: url,
    JIRA_OAUTH_CLIENT_ID: 'sandbox-client',
    JIRA_OAUTH_CLIENT_SECRET: 'sandbox-secret',
    JIRA_OAUTH_REDIRECT_URI: CALLBACK_URL
  }
})
const grants: string[] = []
for (let i = 0; i < GRANT_COUNT; i++) {
  const { url: authorize } = (
    await app.inject(`/auth/jira/login?state=email%3Dp${i}%40example.com`)
  ).json() as { url: string }
  const consent = await fetch(`${authorize}&sandbox_decision=accept&sandbox_account=person${i}`, {
    redirect: 'manual'
  })
  const { pathname, search } = new URL(consent.headers.get('location') ?? '')
  await app.inject(pathname + search)
  grants.push((await app.store.connections.get(i + 1, 'jira'))?.grant.id ?? '')
}
const tokenRequirements = { log: app.log }

/** Returns the microseconds of each call, sorted, without the first tenth. */
async function measureCalls(
  ask: (i: number) => Promise<unknown>,
  calls: number
): Promise<number[]> {
  const durations: number[] = []
  for (let i = 0; i < calls; i++) {
    const from = process.hrtime.bigint()
    await ask(i)
    durations.push(Number(process.hrtime.bigint() - from) / 1000)
  }
  return durations.slice(calls / 10).sort((a, b) => a - b)
}

const [first = ''] = grants
const cachedTokenMicros = await measureCalls(
  async () => await app.tokenProvider.getAccessToken(first, tokenRequirements),
  CALL_COUNT
)
const storedTokenMicros = await measureCalls(async (i) => {
  const id = grants[i % GRANT_COUNT] ?? ''
  app.tokenProvider.invalidate(id)
  return await app.tokenProvider.getAccessToken(id, tokenRequirements)
}, CALL_COUNT / 5)

await fetch(`${url}/admin/clock`, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ advance_ms: TWO_HOURS_MS })
})
clockOffsetMs = TWO_HOURS_MS
const loopDelay = monitorEventLoopDelay({ resolution: 1 })
loopDelay.enable()
const startedAt = performance.now()
const tokens = await Promise.all(
  grants.map(async (id) => await app.tokenProvider.getAccessToken(id, tokenRequirements))
)
const refreshMs = performance.now() - startedAt
loopDelay.disable()
const { exchanges } = (await (await fetch(`${url}/admin/stats`)).json()) as {
  exchanges: { refresh_token: { ok: number } }
}

const formatPercentiles = (numbers: number[]) =>
  [percentile(numbers, 0.5), percentile(numbers, 0.99)].map((each) => `${each.toFixed(1)} µs`)
console.log(
  formatTable([
    ['', 'median', 'p99'],
    ['a cached token', ...formatPercentiles(cachedTokenMicros)],
    ['a token read and decrypted', ...formatPercentiles(storedTokenMicros)]
  ])
)
console.log(
  `\n${GRANT_COUNT} grants refreshed at once: ${(refreshMs / 1000).toFixed(2)} s, ` +
    `${exchanges.refresh_token.ok} exchanges, ${new Set(tokens).size} tokens; ` +
    `longest stall of the event loop ${(loopDelay.max / 1e6).toFixed(1)} ms, ` +
    `p99 ${(loopDelay.percentile(99) / 1e6).toFixed(1)} ms`
)
saveResults(values.save, [
  {
    program: 'bench:tokens',
    name: 'tokens',
    title: 'accessToken()',
    engine: 'sqlite',
    conditions: { grants: GRANT_COUNT, calls: CALL_COUNT },
    values: [
      { label: 'cached, p50', value: percentile(cachedTokenMicros, 0.5), unit: 'µs' },
      { label: 'cached, p99', value: percentile(cachedTokenMicros, 0.99), unit: 'µs' },
      { label: 'read and decrypted, p50', value: percentile(storedTokenMicros, 0.5), unit: 'µs' },
      { label: 'read and decrypted, p99', value: percentile(storedTokenMicros, 0.99), unit: 'µs' },
      { label: 'expired: all grants refreshed at once', value: refreshMs, unit: 'ms' },
      { label: 'longest stall meanwhile', value: loopDelay.max / 1e6, unit: 'ms' }
    ]
  }
])
await app.close()
sandbox.disconnect()
