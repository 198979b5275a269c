import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { StartError } from '../lib/errors.ts'
import { explain } from './exit.ts'
import { driverCode } from '../store/prepared.ts'

/** Settings of a command as they were given. */
export type Given = Record<string, string | undefined>

/**
 * Runs one command about the database, with `.env` read as the service reads it, and sets the exit code: 2 with the help for
 * arguments that mean nothing, 78 for settings, 1 where the database is in the way.
 *
 * @param options the names of what may be given, each with a text
 */
export async function runCommand(
  help: string,
  options: string[],
  work: (given: Given) => Promise<void>
): Promise<void> {
  // Files that are made, databases above all, are its own.
  process.umask(0o077)
  try {
    if (existsSync('.env')) process.loadEnvFile('.env')
    const given = read(help, options)
    if (given === undefined) console.log(help)
    else await work(given)
  } catch (error) {
    process.exitCode = explain(told(error))
  }
}

/** The sentence and the help, for what is missing or cannot be meant. */
export function wrong(sentence: string, help: string): StartError {
  return new StartError([`${sentence}\n\n${help}`], 2)
}

/** @returns undefined where help is wanted */
function read(help: string, options: string[]): Given | undefined {
  try {
    const { values } = parseArgs({
      args: process.argv.slice(3),
      options: {
        ...Object.fromEntries(options.map((name) => [name, { type: 'string' as const }])),
        help: { type: 'boolean' }
      }
    })
    return values.help === true ? undefined : (values as Given)
  } catch {
    // Node's own sentence repeats what was given, and an address may carry a password.
    throw wrong('These arguments mean nothing to this command.', help)
  }
}

/** What a driver throws may spell out rows: its code has to do. A mistake of this program keeps its stack. */
function told(error: unknown): unknown {
  if (
    error instanceof StartError ||
    error instanceof TypeError ||
    error instanceof RangeError ||
    error instanceof ReferenceError
  ) {
    return error
  }
  return new StartError([`The database cannot be used (${driverCode(error) ?? 'no answer'}).`], 1)
}
