import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { runCli } from '../../src/cli/index.ts'

const MAIN_PATH = fileURLToPath(new URL('../../src/main.js', import.meta.url))

export interface CommandOutput {
  code: number
  stdout: string
  stderr: string
}

/** Runs the program in a separate process with only these settings, until it exits. */
export async function runConnector(
  cwd: string,
  args: string[],
  env: NodeJS.ProcessEnv = {}
): Promise<CommandOutput> {
  return await promisify(execFile)(process.execPath, [MAIN_PATH, ...args], {
    cwd,
    timeout: 30_000,
    env: { PATH: process.env.PATH, ...env }
  }).then(
    (output) => ({ code: 0, ...output }),
    ({ code, stdout, stderr }) => ({ code, stdout, stderr })
  )
}

/** Runs the program in this process, for command lines that start nothing. */
export async function runInProcess(args: string[]): Promise<CommandOutput> {
  const output = { stdout: '', stderr: '' }
  const write = process.stdout.write
  const { error } = console
  process.stdout.write = (text: unknown) => {
    output.stdout += String(text)
    return true
  }
  console.error = (...texts: unknown[]) => {
    output.stderr += `${texts.join(' ')}\n`
  }
  try {
    const code = await runCli(args)
    return { code, ...output }
  } finally {
    process.stdout.write = write
    console.error = error
  }
}
