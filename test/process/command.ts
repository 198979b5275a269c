import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'

/** The entry of the program's source. */
export const MAIN_PATH = fileURLToPath(new URL('../../src/main.js', import.meta.url))

export interface CommandOutput {
  /** Null if a signal ended the process. */
  code: number | null
  stdout: string
  stderr: string
}

export interface CommandOptions {
  cwd?: string
  /** The only environment variables besides PATH. */
  env?: NodeJS.ProcessEnv
  /** The program: the source, or BUILD_PATH. */
  main?: string
}

/** Starts `connector ARGS` in a child process. Without arguments: the service. */
export function spawnCommand(
  args: string[],
  { cwd = tmpdir(), env = {}, main = MAIN_PATH }: CommandOptions = {}
) {
  const child = spawn(process.execPath, [main, ...args], {
    cwd,
    timeout: 300_000,
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
    child,
    /** Resolves when the process has exited. */
    completion,
    /** Waits until the output matches, and returns the output so far. */
    async waitForOutput(pattern: RegExp): Promise<typeof output> {
      while (!pattern.test(output.stdout + output.stderr)) {
        if (child.exitCode !== null) {
          throw new Error(`Exited without printing ${pattern}: ${output.stdout}${output.stderr}`)
        }
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      return { ...output }
    }
  }
}

/** Runs `connector ARGS` in a child process until it exits. */
export async function runCommand(
  args: string[],
  options: CommandOptions = {}
): Promise<CommandOutput> {
  return await spawnCommand(args, options).completion
}
