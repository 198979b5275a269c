import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { DEMO_CLIENT } from '../../src/sandbox/oauth/clients.ts'
import { isPostgres } from '../database.ts'
import { waitFor } from '../helper.ts'
import { startSandbox } from '../sandbox/helper.ts'
import { HttpBrowser } from './browser-visit.ts'
import { createTempFolder, startServiceProcess, type ServiceProcess } from './child.ts'
import { MAIN_PATH } from './command.ts'
import { sendSignal, sendSlowRequest } from './service-tree.ts'

/** What production uses by default. */
const PRODUCTION_DELAY = { SHUTDOWN_DELAY: '3' }
/** `docker stop` kills what runs after this time. */
const DOCKER_TIMEOUT_MS = 10_000

/** Does what `docker stop` does; resolves to the exit code, null if the process was killed. */
async function stopAsDocker({ child, stop }: ServiceProcess): Promise<number | null> {
  const timer = setTimeout(() => child.kill('SIGKILL'), DOCKER_TIMEOUT_MS)
  const code = await stop('SIGTERM')
  clearTimeout(timer)
  return code
}

t.test('docker stop ends long polls, event streams and idle connections cleanly', async (t) => {
  const sandbox = await startSandbox(t, { clients: [{ ...DEMO_CLIENT, access: 'resource' }] })
  const service = await startServiceProcess(t, {
    env: {
      ...PRODUCTION_DELAY,
      ATLASSIAN_AUTH_URL: sandbox.url,
      ATLASSIAN_API_URL: sandbox.url,
      JIRA_OAUTH_CLIENT_ID: 'sandbox-client',
      JIRA_OAUTH_CLIENT_SECRET: 'sandbox-secret',
      JIRA_OAUTH_REDIRECT_URI: 'http://127.0.0.1:3001/auth/jira/callback'
    }
  })
  const { url } = service
  await sandbox.admin('faults', { kind: 'hang', match: { path: 'project/search' } })
  const { url: authorize } = (await (await fetch(`${url}/auth/jira/login`)).json()) as any
  const consent = await fetch(`${authorize}&sandbox_decision=accept`, { redirect: 'manual' })
  const { pathname, search } = new URL(consent.headers.get('location') ?? '')
  await new HttpBrowser().open(`${url}${pathname}${search}`).catch(() => {})

  const stream = await fetch(`${url}/integrations/jira/sync/runs/1/events`)
  t.equal(stream.status, 200)
  const streamed = stream.text()
  const { next } = (await (await fetch(`${url}/users/1/changes`)).json()) as any
  const poll = fetch(`${url}/users/1/changes?wait=60&since=${next}`)
  const idle = connect(Number(new URL(url).port), '127.0.0.1')
  await once(idle, 'connect')
  const idleClosed = once(idle.resume(), 'close')
  await sleep(500)

  t.equal(await stopAsDocker(service), 0)
  t.match(await streamed, /event: progress/)
  t.equal((await poll).status, 200)
  await idleClosed
  t.match(service.output(), /"event":"service_stopped","reason":"SIGTERM".*"complete":true/)
  t.match(service.output(), /"event":"migrations_applied","count":\d+/)
  const started = /.*"event":"service_started".*/.exec(service.output())?.[0] ?? '{}'
  t.match(JSON.parse(started), {
    instance: String,
    version: /^\d+\./,
    node: process.versions.node,
    engine: isPostgres ? 'postgres' : 'sqlite',
    mode: 'development',
    access: 'public',
    docs: 'open',
    sandbox: true,
    max_connections: Number
  })
})

t.test('A request that does not end is cut before docker stop kills the process', async (t) => {
  const service = await startServiceProcess(t, { env: PRODUCTION_DELAY })
  const endless = sendSlowRequest(service.url, 60_000)
  await sleep(500)
  t.equal(await stopAsDocker(service), 1)
  t.equal(await endless, undefined)
  t.match(service.output(), /"event":"service_stopped".*"complete":false/)
})

t.test('A SIGTERM during the start ends it with 0', async (t) => {
  const child = spawn(process.execPath, [MAIN_PATH], {
    cwd: createTempFolder(t),
    env: { PATH: process.env.PATH, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const exited = once(child, 'exit')
  await waitFor(() => output !== '', 30_000)
  sendSignal(child.pid ?? 0, 'SIGTERM')
  t.same(await exited, [0, null])
})
