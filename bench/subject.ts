import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { devNull } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { CpuAssignment } from './cpu-pinning.ts'
import type { SubjectMessage } from './serve.ts'

const RESPONSE_TIMEOUT_MS = 30_000
const EXIT_TIMEOUT_MS = 5_000

/** A server under test, in a process of its own. */
export interface BenchmarkSubject {
  name: string
  url: string
  /** Processor time used so far, in microseconds. */
  cpuMicros: () => Promise<number>
  stop: () => Promise<void>
}

/**
 * Starts `subject-<name>.ts`; its log lines go to the null device.
 *
 * @param folder the subject's argument: a folder or a database address
 */
export async function startSubject(
  name: string,
  folder: string,
  cores: CpuAssignment | undefined
): Promise<BenchmarkSubject> {
  const nullDevice = openSync(devNull, 'w')
  const node = [
    process.execPath,
    ...process.execArgv,
    fileURLToPath(new URL(`subject-${name}.ts`, import.meta.url)),
    folder
  ]
  const [command = '', ...args] =
    cores === undefined ? node : ['taskset', '-c', cores.server, ...node]
  const child = spawn(command, args, { stdio: ['ignore', nullDevice, 'inherit', 'ipc'] })
  closeSync(nullDevice)

  /** Waits for the next message of the child. */
  const nextMessage = async (): Promise<SubjectMessage> => {
    const received = new AbortController()
    const signal = AbortSignal.any([received.signal, AbortSignal.timeout(RESPONSE_TIMEOUT_MS)])
    const exited = once(child, 'exit', { signal }).then(() => {
      throw new Error(`The subject ${name} exited unexpectedly`)
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
  return {
    name,
    url: `http://127.0.0.1:${'port' in firstMessage ? firstMessage.port : 0}`,
    async cpuMicros() {
      const reply = nextMessage()
      child.send('cpu')
      const message = await reply
      return 'cpuMicros' in message ? message.cpuMicros : 0
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
