import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { devNull } from 'node:os'
import { fileURLToPath } from 'node:url'
import { pinProcess, type CpuAssignment } from './cpu-pinning.ts'
import type { SubjectMessage, SubjectOptions } from './serve.ts'

const RESPONSE_TIMEOUT_MS = 60_000
const EXIT_TIMEOUT_MS = 5_000

/** What a subject's process has used so far. */
interface ProcessUsage {
  /** Processor time in microseconds. */
  cpuMicros: number
  rssBytes: number
}

/** A server under test, in a process of its own. */
export interface BenchmarkSubject {
  name: string
  url: string
  userCount: number
  getUsage: () => Promise<ProcessUsage>
  stop: () => Promise<void>
}

/**
 * Starts `subject-<program>.ts`, on both cores until it listens and on the servers' core from then on.
 *
 * @param logFile takes its log lines; by default the null device
 */
export async function startSubject(
  program: 'service' | 'bare',
  options: SubjectOptions,
  cores: CpuAssignment | undefined,
  logFile: string = devNull
): Promise<BenchmarkSubject> {
  const log = openSync(logFile, 'w')
  const args = [
    ...process.execArgv,
    '--import',
    fileURLToPath(new URL('../src/lib/source-loader.js', import.meta.url)),
    fileURLToPath(new URL(`subject-${program}.ts`, import.meta.url)),
    JSON.stringify(options)
  ]
  const child = spawn(process.execPath, args, { stdio: ['ignore', log, 'inherit', 'ipc'] })
  // This process may be pinned to the core of the load, which its children inherit.
  if (cores !== undefined) pinProcess(child.pid, `${cores.server},${cores.load}`)
  closeSync(log)

  /** Waits for the next message of the child. */
  const nextMessage = async (): Promise<SubjectMessage> => {
    const received = new AbortController()
    const signal = AbortSignal.any([received.signal, AbortSignal.timeout(RESPONSE_TIMEOUT_MS)])
    const exited = once(child, 'exit', { signal }).then(() => {
      throw new Error(`The subject ${program} exited unexpectedly`)
    })
    try {
      const [message] = (await Promise.race([once(child, 'message', { signal }), exited])) as [
        SubjectMessage
      ]
      return message
    } finally {
      received.abort()
      await exited.catch(() => undefined)
    }
  }

  const firstMessage = await nextMessage()
  if (cores !== undefined) pinProcess(child.pid, cores.server)
  return {
    name: program,
    url: `http://127.0.0.1:${'port' in firstMessage ? firstMessage.port : 0}`,
    userCount: options.userCount,
    async getUsage() {
      const reply = nextMessage()
      child.send('usage')
      const message = await reply
      return 'cpuMicros' in message ? message : { cpuMicros: NaN, rssBytes: NaN }
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.disconnect()
      const killTimer = setTimeout(() => child.kill('SIGKILL'), EXIT_TIMEOUT_MS)
      await exited
      clearTimeout(killTimer)
    }
  }
}
