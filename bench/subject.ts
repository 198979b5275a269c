import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { devNull } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Cores } from './cpu-pinning.ts'
import type { Message } from './serve.ts'

const ANSWER_WITHIN_MS = 30_000
const END_WITHIN_MS = 5_000

/** One server under test, in a process of its own. */
export interface Contender {
  name: string
  url: string
  /** Processor time used so far, in microseconds. */
  cpuMicros: () => Promise<number>
  stop: () => Promise<void>
}

/**
 * Starts `subject-<name>.ts`; its log lines go to the null device.
 *
 * @param folder where it keeps its database
 */
export async function startContender(
  name: string,
  folder: string,
  cores: Cores | undefined
): Promise<Contender> {
  const nowhere = openSync(devNull, 'w')
  const node = [
    process.execPath,
    ...process.execArgv,
    fileURLToPath(new URL(`subject-${name}.ts`, import.meta.url)),
    folder
  ]
  const [command = '', ...args] =
    cores === undefined ? node : ['taskset', '-c', cores.server, ...node]
  const child = spawn(command, args, { stdio: ['ignore', nowhere, 'inherit', 'ipc'] })
  closeSync(nowhere)

  /** The next thing the child says; once it has, nobody listens any more. */
  const next = async (): Promise<Message> => {
    const heard = new AbortController()
    const signal = AbortSignal.any([heard.signal, AbortSignal.timeout(ANSWER_WITHIN_MS)])
    const died = once(child, 'exit', { signal }).then(() => {
      throw new Error(`The contender ${name} ended unasked`)
    })
    try {
      const [message] = (await Promise.race([once(child, 'message', { signal }), died])) as [
        Message
      ]
      return message
    } finally {
      heard.abort()
      await died.catch(() => undefined)
    }
  }

  const started = await next()
  return {
    name,
    url: `http://127.0.0.1:${'port' in started ? started.port : 0}`,
    async cpuMicros() {
      const answer = next()
      child.send('cpu')
      const message = await answer
      return 'cpuMicros' in message ? message.cpuMicros : 0
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.disconnect()
      const late = setTimeout(() => child.kill('SIGKILL'), END_WITHIN_MS)
      await ended
      clearTimeout(late)
    }
  }
}
