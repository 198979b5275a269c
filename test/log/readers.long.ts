import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import pLimit from 'p-limit'
import t from 'tap'
import { NO_RATE_LIMITS, waitFor } from '../helper.ts'
import { findFreePort } from '../network.ts'
import { createTempFolder, startServiceProcess } from '../process/child.ts'
import { MAIN_PATH } from '../process/command.ts'

/** The lines of this many requests with `LONG_HEADERS` exceed the buffer of 8 MiB and the pipe. */
const REQUEST_COUNT = 1_600
const LONG_HEADERS = Object.fromEntries(
  ['user-agent', 'x-forwarded-for', 'x-real-ip', 'via'].map((name) => [name, 'x'.repeat(1_900)])
)
/** Far above what a stop takes, and below a hang. */
const STOP_TIMEOUT_MS = 30_000

async function sendRequests(url: string, count: number): Promise<number[]> {
  const limit = pLimit(20)
  return await Promise.all(
    Array.from(
      { length: count },
      async () =>
        await limit(async () => {
          const response = await fetch(`${url}/users`, { headers: LONG_HEADERS })
          await response.arrayBuffer()
          return response.status
        })
    )
  )
}

const countStatuses = (statuses: number[]) =>
  Object.fromEntries(
    [...new Set(statuses)].map((status) => [status, statuses.filter((s) => s === status).length])
  )

async function endsWith(exited: Promise<unknown[]>): Promise<unknown> {
  const timeout = new Promise<string>((resolve) => {
    setTimeout(() => {
      resolve('still running')
    }, STOP_TIMEOUT_MS).unref()
  })
  return await Promise.race([exited.then(([code]) => code), timeout])
}

t.test('A log reader that pauses stops nothing, and learns how many lines are lost', async (t) => {
  const service = await startServiceProcess(t)
  const { child, url } = service
  child.stdout?.pause()
  t.same(countStatuses(await sendRequests(url, REQUEST_COUNT)), { 200: REQUEST_COUNT })
  child.stdout?.resume()
  const [, dropped = ''] = await waitFor(() => {
    return /"event":"log_lines_dropped","dropped_lines":(\d+)/.exec(service.output()) ?? undefined
  })
  t.equal(await service.stop(), 0)
  const lines = service.output().trimEnd().split('\n')
  const completed = lines.filter((line) => line.includes('"event":"request_completed"'))
  t.ok(Number(dropped) > 0)
  t.equal(completed.length + Number(dropped), REQUEST_COUNT, 'every line is written or counted')
  for (const line of completed) JSON.parse(line)
})

t.test('The service stops although nobody reads its log, and counts what is lost', async (t) => {
  const { child, url, output } = await startServiceProcess(t)
  child.stdout?.pause()
  await sendRequests(url, 50)
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  t.equal(await endsWith(exited), 0)
  await waitFor(() => /\d+ log lines are lost/.test(output()))
})

t.test('A start that fails ends although nobody reads its log', async (t) => {
  const blocked = await startServiceProcess(t)
  const child = spawn(process.execPath, [MAIN_PATH], {
    cwd: createTempFolder(t),
    env: { PATH: process.env.PATH, PORT: new URL(blocked.url).port, LOG_LEVEL: 'TRACE' },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  t.teardown(() => child.kill('SIGKILL'))
  t.equal(await endsWith(once(child, 'exit')), 1)
})

t.test('Requests and SIGTERM go on after the reader of the log has ended', async (t) => {
  const { child, url } = await startServiceProcess(t)
  child.stdout?.destroy()
  t.same(countStatuses(await sendRequests(url, 100)), { 200: 100 })
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  t.equal(await endsWith(exited), 0)
})

for (const [title, path, isFull] of [
  ['a full disk', '/dev/full', true],
  ['a file', 'service.log', false]
] as const) {
  t.test(`Requests and SIGTERM go on with ${title} as standard output`, async (t) => {
    const port = await findFreePort()
    const cwd = createTempFolder(t)
    const file = isFull ? path : join(cwd, path)
    const descriptor = openSync(file, 'a')
    const child = spawn(process.execPath, [MAIN_PATH], {
      cwd,
      env: { PATH: process.env.PATH, PORT: String(port), ...NO_RATE_LIMITS },
      stdio: ['ignore', descriptor, 'pipe']
    })
    closeSync(descriptor)
    t.teardown(() => child.kill('SIGKILL'))
    let errors = ''
    child.stderr?.on('data', (chunk: Buffer) => (errors += chunk.toString()))
    const url = `http://127.0.0.1:${port}`
    await waitFor(async () => await fetch(`${url}/healthz`).catch(() => undefined), 60_000)
    t.same(countStatuses(await sendRequests(url, 100)), { 200: 100 })
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    t.equal(await endsWith(exited), 0)
    if (isFull) t.match(errors, /\d+ log lines are lost/)
    else {
      const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
      t.equal(lines.filter((line) => line.includes('"path":"/users"')).length, 100)
      t.match(JSON.parse(lines.at(-1) ?? ''), { event: 'service_stopped', dropped_lines: 0 })
    }
  })
}
