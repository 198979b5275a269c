import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { NO_RATE_LIMITS, waitFor } from '../helper.ts'
import { findFreePort } from '../network.ts'
import { createTempFolder } from '../process/child.ts'
import { MAIN_PATH } from '../process/command.ts'
import type { TestContext } from '../types.ts'

/** A line that is lost belongs to a response that was younger than this. */
const MAX_LOST_MS = 10
const CLIENT_COUNT = 32
const LOAD_MS = 1_000
const MIN_RESPONSE_COUNT = 100
/** Ends the process from within, by the signal that this test sends. */
const SELF_ENDING =
  'data:text/javascript,' +
  encodeURIComponent(
    `process.on('SIGUSR2', () => {
      if (process.env.TEST_END === 'exit') process.exit(3)
      throw new Error('planted')
    })`
  )

interface Loss {
  /** Responses whose line is missing: how long the process had gone on after them, in ms. */
  ages: number[]
  responseCount: number
  /** Lines that are not JSON, apart from a last one without its end. */
  brokenCount: number
  isOrdered: boolean
}

interface Moment {
  wallMs: number
  /** For how long the main thread of the service has waited for a processor, where the system says so. */
  waitedMs: number
}

function readMoment(pid: number): Moment {
  try {
    const [, waitedNanos] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')
    return { wallMs: performance.now(), waitedMs: Number(waitedNanos) / 1e6 }
  } catch {
    return { wallMs: performance.now(), waitedMs: 0 }
  }
}

/** Without the time for which other programs kept the processor from the service. */
function subtract(end: Moment, start: Moment): number {
  return end.wallMs - start.wallMs - (end.waitedMs - start.waitedMs)
}

/** Answers requests until the process ends, and compares the responses with the lines. */
async function endUnderLoad(
  t: TestContext,
  end: 'SIGKILL' | 'exit' | 'exception',
  { isFile, env = {} }: { isFile: boolean; env?: NodeJS.ProcessEnv }
): Promise<Loss> {
  const cwd = createTempFolder(t)
  const file = join(cwd, 'service.log')
  const port = await findFreePort()
  const descriptor = isFile ? openSync(file, 'a') : undefined
  const child = spawn(process.execPath, ['--import', SELF_ENDING, MAIN_PATH], {
    cwd,
    env: {
      PATH: process.env.PATH,
      PORT: String(port),
      API_ACCESS: 'public',
      TEST_END: end,
      ...NO_RATE_LIMITS,
      ...env
    },
    stdio: ['ignore', descriptor ?? 'pipe', 'ignore']
  })
  t.teardown(() => child.kill('SIGKILL'))
  if (descriptor !== undefined) closeSync(descriptor)
  const chunks: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk))
  const closed = once(child, 'close')
  const url = `http://127.0.0.1:${port}`
  await waitFor(async () => await fetch(`${url}/healthz`).catch(() => undefined), 60_000)

  const arrivedAt = new Map<string, Moment>()
  let number = 0
  const agent = new Agent({ keepAlive: true })
  const clients = Array.from({ length: CLIENT_COUNT }, async () => {
    while (child.exitCode === null && child.signalCode === null) {
      const id = `lost-${++number}`
      if (!(await isAnswered(`${url}/users`, id, agent))) return
      arrivedAt.set(id, readMoment(child.pid ?? 0))
    }
  })
  await sleep(LOAD_MS)
  await waitFor(() => arrivedAt.size > MIN_RESPONSE_COUNT, 60_000)
  const endedAt = readMoment(child.pid ?? 0)
  child.kill(end === 'SIGKILL' ? 'SIGKILL' : 'SIGUSR2')
  await Promise.all([closed, ...clients])
  agent.destroy()
  const text = isFile ? readFileSync(file, 'utf8') : Buffer.concat(chunks).toString()
  return compare(text, arrivedAt, endedAt)
}

async function isAnswered(url: string, id: string, agent: Agent): Promise<boolean> {
  return await new Promise((resolve) => {
    request(url, { agent, headers: { 'x-request-id': id } }, (response) => {
      response.once('end', () => {
        resolve(response.statusCode === 200)
      })
      response.once('error', () => {
        resolve(false)
      })
      response.resume()
    })
      .once('error', () => {
        resolve(false)
      })
      .end()
  })
}

function compare(text: string, arrivedAt: ReadonlyMap<string, Moment>, endedAt: Moment): Loss {
  const lines = text.split('\n')
  // A line that the end cut is lost.
  lines.pop()
  const parsed = lines.map((line) => {
    try {
      return JSON.parse(line) as { request_id?: string; timestamp: string }
    } catch {
      return undefined
    }
  })
  const logged = new Set(parsed.map((line) => line?.request_id))
  const times = parsed.flatMap((line) => (line === undefined ? [] : [line.timestamp]))
  return {
    ages: [...arrivedAt].filter(([id]) => !logged.has(id)).map(([, at]) => subtract(endedAt, at)),
    responseCount: arrivedAt.size,
    brokenCount: parsed.filter((line) => line === undefined).length,
    isOrdered: times.every((time, index) => index === 0 || time >= (times[index - 1] ?? ''))
  }
}

for (const isFile of [false, true]) {
  for (const end of ['SIGKILL', 'exit', 'exception'] as const) {
    for (const env of [{}, { LOG_SYNC: 'true' }]) {
      const [setting = ''] = Object.keys(env)
      const title = `${end}, ${isFile ? 'file' : 'pipe'}${setting && `, ${setting}`}`
      t.test(
        `An end of the process loses lines of ${MAX_LOST_MS} ms at most: ${title}`,
        async (t) => {
          const { ages, responseCount, brokenCount, isOrdered } = await endUnderLoad(t, end, {
            isFile,
            env
          })
          t.comment(`lost ${ages.length} of ${responseCount}, oldest ${Math.max(0, ...ages)} ms`)
          t.ok(responseCount > MIN_RESPONSE_COUNT, `${responseCount} responses`)
          t.same(
            ages.filter((age) => age > MAX_LOST_MS),
            []
          )
          t.equal(brokenCount, 0)
          t.ok(isOrdered)
          // Both run what writes the rest, and the exception also ends the requests first.
          if (end !== 'SIGKILL') t.equal(ages.length, 0)
        }
      )
    }
  }
}
