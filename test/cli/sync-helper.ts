import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'

const MAIN_PATH = fileURLToPath(new URL('../../src/main.js', import.meta.url))

export interface CommandOutput {
  code: number | null
  stdout: string
  stderr: string
}

/** A running `npm run sync -- …` with only these settings. */
export function spawnSyncCommand(
  args: string[],
  { cwd = tmpdir(), env = {} }: { cwd?: string; env?: NodeJS.ProcessEnv } = {}
) {
  const child = spawn(process.execPath, [MAIN_PATH, 'sync', ...args], {
    cwd,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].on('data', (chunk: Buffer) => {
      output[name] += chunk.toString()
    })
  }
  const completion = once(child, 'close').then(([code]): CommandOutput => ({
    code: code as number | null,
    ...output
  }))
  return {
    ended: completion,
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    /** Waits until the output matches. */
    async waitForOutput(pattern: RegExp): Promise<void> {
      while (!pattern.test(output.stdout + output.stderr)) {
        if (child.exitCode !== null) {
          throw new Error(`It ended without saying ${pattern}: ${output.stdout}${output.stderr}`)
        }
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    }
  }
}

export const runSyncCommand = async (
  ...runArgs: Parameters<typeof spawnSyncCommand>
): Promise<CommandOutput> => await spawnSyncCommand(...runArgs).ended

/** Starts listening and returns the address. */
export async function startListening(app: FastifyInstance): Promise<string> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}
