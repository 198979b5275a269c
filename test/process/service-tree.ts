import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { waitFor } from '../helper.ts'
import { findFreePort } from '../network.ts'
import type { TestContext } from '../types.ts'
import { createTempFolder } from './child.ts'

export const REPOSITORY_ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** The service as the child of some other program, which leads a process group of its own. */
export interface ServiceTree {
  parent: ChildProcess
  parentPid: number
  /** The Node that runs the service, as this machine sees it. */
  servicePid: number
  url: string
  output: () => string
  /** Resolves to the exit code of the parent, once no process holds the output. */
  ended: Promise<number | null>
}

/** Starts `command` and waits until the service below it listens. */
export async function startServiceTree(
  t: TestContext,
  command: readonly string[],
  env: NodeJS.ProcessEnv = {}
): Promise<ServiceTree> {
  const port = await findFreePort()
  const [program = '', ...args] = command
  const parent = spawn(program, args, {
    cwd: REPOSITORY_ROOT,
    detached: true,
    env: {
      PATH: process.env.PATH,
      HOME: createTempFolder(t),
      PORT: String(port),
      APP_ENV: 'test',
      API_ACCESS: 'public',
      INTEGRATION_DB_URL: `sqlite:///${createTempFolder(t)}/integration.db`,
      VAULT_KEYS: `k1:${randomBytes(32).toString('base64')}`,
      ...env
    },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const parentPid = parent.pid ?? 0
  let servicePid = 0
  t.teardown(() => {
    for (const pid of [-parentPid, servicePid]) sendSignal(pid, 'SIGKILL')
  })
  let output = ''
  for (const stream of [parent.stdout, parent.stderr]) {
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  }
  const ended = once(parent, 'close').then(([code]) => code as number | null)
  await waitFor(() => {
    if (parent.exitCode !== null) throw new Error(`The start failed: ${output}`)
    return output.includes('Server listening')
  }, 60_000)
  servicePid = findService(parentPid)
  return {
    parent,
    parentPid,
    servicePid,
    url: `http://127.0.0.1:${port}`,
    output: () => output,
    ended
  }
}

/** Sends a signal, to a group if the id is negative; nothing happens if nobody is there. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    if (pid !== 0) process.kill(pid, signal)
  } catch {
    // It has ended.
  }
}

/** Whether a process runs; one that has ended and is not collected does not. */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** The youngest descendant: npm and shells start one program each. */
function findService(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  const last = children.split(' ').at(-1)
  return last === undefined || last === '' ? pid : findService(Number(last))
}

/** A request whose body takes `durationMs` to arrive; resolves to its status, or undefined if cut. */
export async function sendSlowRequest(
  url: string,
  durationMs: number
): Promise<number | undefined> {
  const encoder = new TextEncoder()
  const body = new ReadableStream({
    async start(controller) {
      controller.enqueue(encoder.encode('{"email":'))
      await sleep(durationMs, undefined, { ref: false })
      controller.enqueue(encoder.encode(`"${randomBytes(6).toString('hex')}@example.com"}`))
      controller.close()
    }
  })
  return await fetch(`${url}/users`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    duplex: 'half',
    body
  } as RequestInit).then(
    ({ status }) => status,
    () => undefined
  )
}

/** Whether this user may create PID namespaces, as containers have them. */
export function canCreatePidNamespace(): boolean {
  try {
    execFileSync('unshare', ['--pid', '--fork', '--mount-proc', 'true'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
