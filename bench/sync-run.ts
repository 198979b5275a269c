import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { buildApp } from '../src/app.ts'
import { generateKeyEntry } from '../src/vault/keyring.ts'
import { measureRawBaseline } from './raw-baseline.ts'

/** Results of one measurement: times in milliseconds, memory in bytes. */
export interface SyncMeasurement {
  pages: number
  fullSyncMs: number
  fullSyncCalls: number
  unchangedSyncMs: number
  unchangedSyncCalls: number
  maxRssBytes: number
  maxStallMs: number
  baselineMs: number | null
}

const CALLBACK_URL = 'http://localhost:3001/auth/confluence/callback'
const POLL_INTERVAL_MS = 50
const [pages = '1000', sandboxMode = 'process'] = process.argv.slice(2)

const folder = mkdtempSync(join(tmpdir(), 'bench-'))
process.once('exit', () => {
  rmSync(folder, { recursive: true, force: true })
})
const file = fileURLToPath(new URL('sync-sandbox.ts', import.meta.url))
// A thread for the comparison with the baseline; a process of its own where memory is measured.
const sandbox =
  sandboxMode === 'thread' ? new Worker(file, { workerData: pages }) : fork(file, [pages])
const [port] = (await once(sandbox, 'message')) as [number]
const url = `http://127.0.0.1:${port}`
const app = await buildApp({
  env: {
    APP_ENV: 'test',
    INTEGRATION_DB_URL: `sqlite:///${join(folder, 'sync.db')}`,
    VAULT_KEYS: generateKeyEntry('bench'),
    ATLASSIAN_AUTH_URL: url,
    ATLASSIAN_API_URL: url,
    ATLASSIAN_HOURLY_POINTS: '100000000',
    CONFLUENCE_OAUTH_CLIENT_ID: 'sandbox-client',
    CONFLUENCE_OAUTH_CLIENT_SECRET: 'sandbox-secret',
    CONFLUENCE_OAUTH_REDIRECT_URI: CALLBACK_URL
  }
})
let maxRssBytes = 0

/** Polls a run until it ends. */
async function waitForRunEnd(id: number): Promise<Record<string, any>> {
  while (true) {
    const run = (await app.inject(`/integrations/confluence/sync/runs/${id}`)).json() as Record<
      string,
      any
    >
    maxRssBytes = Math.max(maxRssBytes, process.memoryUsage.rss())
    if (run.state === 'succeeded') return run
    if (run.finished_at !== null) throw new Error(JSON.stringify(run.error))
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS))
  }
}

const { url: authorize } = (
  await app.inject('/auth/confluence/login?state=email%3Dada%40example.com')
).json() as { url: string }
const consent = await fetch(`${authorize}&sandbox_decision=accept`, { redirect: 'manual' })
const { pathname, search } = new URL(consent.headers.get('location') ?? '')
const loopDelay = monitorEventLoopDelay({ resolution: 1 })
loopDelay.enable()
await app.inject(pathname + search)
const fullSyncRun = await waitForRunEnd(1)
loopDelay.disable()
await app.inject({ method: 'POST', url: '/integrations/confluence/sync' })
const unchangedSyncRun = await waitForRunEnd(2)
const measurement: SyncMeasurement = {
  pages: Number(pages),
  fullSyncMs: fullSyncRun.duration_ms,
  fullSyncCalls: fullSyncRun.counts.upstream_calls,
  unchangedSyncMs: unchangedSyncRun.duration_ms,
  unchangedSyncCalls: unchangedSyncRun.counts.upstream_calls,
  maxRssBytes,
  maxStallMs: loopDelay.max / 1e6,
  baselineMs:
    sandboxMode === 'thread'
      ? await measureRawBaseline(app, url, join(folder, 'baseline.db'))
      : null
}
process.send?.(measurement)
await app.close()
if (sandbox instanceof Worker) await sandbox.terminate()
else sandbox.disconnect()
process.disconnect()
