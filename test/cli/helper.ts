import { runCli } from '../../src/cli/index.ts'
import { type CommandOutput } from '../process/command.ts'

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
