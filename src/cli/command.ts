import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { getOperatorActor } from './operator.ts'
import type { Config } from '../config/config.ts'
import { StartError } from '../lib/errors.ts'
import { reportStartError } from './exit.ts'
import { openEngine } from '../store/open-engine.ts'
import { createStore, type Store } from '../store/index.ts'

/**
 * Runs one of an operator's commands, with `.env` read as the service reads it, and sets the exit code: 2 with the help for arguments
 * that mean nothing, else what the error says.
 *
 * @param optionNames the names of what may be given, each with a text
 */
export async function defineCommand(
  help: string,
  optionNames: string[],
  run: (positionals: string[], options: Record<string, string | undefined>) => Promise<void>
): Promise<void> {
  // Files that are made, databases above all, are its own.
  process.umask(0o077)
  try {
    if (existsSync('.env')) process.loadEnvFile('.env')
    const {
      values: { help: isHelpRequested, ...values },
      positionals
    } = parseArgs({
      args: process.argv.slice(3),
      allowPositionals: true,
      options: {
        ...Object.fromEntries(optionNames.map((name) => [name, { type: 'string' as const }])),
        help: { type: 'boolean' as const, default: false }
      }
    })
    if (isHelpRequested === true) console.log(help)
    else await run(positionals, values as Record<string, string | undefined>)
  } catch (error) {
    process.exitCode =
      (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true
        ? reportUsageError(error as Error, help)
        : reportStartError(error)
  }
}

/** What means nothing: the help is the answer. */
export function usageError(help: string): StartError {
  return new StartError([help], 2)
}

/** Opens the database for a command, whose doing is put down to the operator. */
export async function withStore(
  { databaseUrl, database }: Pick<Config, 'databaseUrl' | 'database'>,
  command: (store: Store) => Promise<void>
): Promise<void> {
  const engine = await openEngine(databaseUrl, database)
  try {
    await command(createStore(engine, Date.now, getOperatorActor))
  } finally {
    await engine.close()
  }
}

function reportUsageError({ message }: Error, help: string): number {
  console.error(`${message}\n\n${help}`)
  return 2
}
