import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { StartError } from '../lib/errors.ts'
import { reportStartError } from './exit.ts'
import { getDriverErrorCode } from '../store/prepared.ts'

/** Settings of a command as they were given. */
export type CliOptions = Record<string, string | undefined>

/**
 * Runs one command about the database, with `.env` read as the service reads it, and sets the exit code: 2 with the help for
 * arguments that mean nothing, 78 for settings, 1 where the database is in the way.
 *
 * @param optionNames the names of what may be given, each with a text
 */
export async function defineDatabaseCommand(
  help: string,
  optionNames: string[],
  run: (options: CliOptions) => Promise<void>
): Promise<void> {
  // Files that are made, databases above all, are its own.
  process.umask(0o077)
  try {
    if (existsSync('.env')) process.loadEnvFile('.env')
    const options = parseOptions(help, optionNames)
    if (options === undefined) console.log(help)
    else await run(options)
  } catch (error) {
    process.exitCode = reportStartError(toStartError(error))
  }
}

/** The sentence and the help, for what is missing or cannot be meant. */
export function usageErrorWithMessage(message: string, help: string): StartError {
  return new StartError([`${message}\n\n${help}`], 2)
}

/** @returns undefined where help is wanted */
function parseOptions(help: string, optionNames: string[]): CliOptions | undefined {
  try {
    const { values } = parseArgs({
      args: process.argv.slice(3),
      options: {
        ...Object.fromEntries(optionNames.map((name) => [name, { type: 'string' as const }])),
        help: { type: 'boolean' }
      }
    })
    return values.help === true ? undefined : (values as CliOptions)
  } catch {
    // Node's own sentence repeats what was given, and an address may carry a password.
    throw usageErrorWithMessage('These arguments mean nothing to this command.', help)
  }
}

/** What a driver throws may spell out rows: its code has to do. A mistake of this program keeps its stack. */
function toStartError(error: unknown): unknown {
  if (
    error instanceof StartError ||
    error instanceof TypeError ||
    error instanceof RangeError ||
    error instanceof ReferenceError
  ) {
    return error
  }
  return new StartError(
    [`The database cannot be used (${getDriverErrorCode(error) ?? 'no answer'}).`],
    1
  )
}
