import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { buildApp } from '../src/app.ts'
import { newKeyEntry } from '../src/vault/keyring.ts'
import { ceiling } from './raw-baseline.ts'

/** What one measurement found. Times in milliseconds, memory in bytes. */
export interface Measured {
  pages: number
  firstMs: number
  calls: number
  againMs: number
  againCalls: number
  rss: number
  stallMs: number
  ceilingMs: number | null
}

const CALLBACK = 'http://localhost:3001/auth/confluence/callback'
const LOOK_MS = 50
const [pages = '1000', beside = 'process'] = process.argv.slice(2)

const folder = mkdtempSync(join(tmpdir(), 'bench-'))
process.once('exit', () => {
  rmSync(folder, { recursive: true, force: true })
})
const file = fileURLToPath(new URL('sync-sandbox.ts', import.meta.url))
// In a thread for the comparison with the ceiling; in a process of its own where memory is measured.
const sandbox = beside === 'thread' ? new Worker(file, { workerData: pages }) : fork(file, [pages])
const [port] = (await once(sandbox, 'message')) as [number]
const url = `http://127.0.0.1:${port}`
const app = await buildApp({
  env: {
    APP_ENV: 'test',
    INTEGRATION_DB_URL: `sqlite:///${join(folder, 'sync.db')}`,
    VAULT_KEYS: newKeyEntry('bench'),
    ATLASSIAN_AUTH_URL: url,
    ATLASSIAN_API_URL: url,
    ATLASSIAN_HOURLY_POINTS: '100000000',
    CONFLUENCE_OAUTH_CLIENT_ID: 'sandbox-client',
    CONFLUENCE_OAUTH_CLIENT_SECRET: 'sandbox-secret',
    CONFLUENCE_OAUTH_REDIRECT_URI: CALLBACK
  }
})
let rss = 0

/** Follows a run to its end. */
async function finished(id: number): Promise<Record<string, any>> {
  while (true) {
    const run = (await app.inject(`/integrations/confluence/sync/runs/${id}`)).json() as Record<
      string,
      any
    >
    rss = Math.max(rss, process.memoryUsage.rss())
    if (run.state === 'succeeded') return run
    if (run.finished_at !== null) throw new Error(JSON.stringify(run.error))
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}

const { url: authorize } = (
  await app.inject('/auth/confluence/login?state=email%3Dada%40example.com')
).json() as { url: string }
const consent = await fetch(`${authorize}&sandbox_decision=accept`, { redirect: 'manual' })
const { pathname, search } = new URL(consent.headers.get('location') ?? '')
const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()
await app.inject(pathname + search)
const first = await finished(1)
delay.disable()
await app.inject({ method: 'POST', url: '/integrations/confluence/sync' })
const again = await finished(2)
const measured: Measured = {
  pages: Number(pages),
  firstMs: first.duration_ms,
  calls: first.counts.upstream_calls,
  againMs: again.duration_ms,
  againCalls: again.counts.upstream_calls,
  rss,
  stallMs: delay.max / 1e6,
  ceilingMs: beside === 'thread' ? await ceiling(app, url, join(folder, 'ceiling.db')) : null
}
process.send?.(measured)
await app.close()
if (sandbox instanceof Worker) await sandbox.terminate()
else sandbox.disconnect()
process.disconnect()
