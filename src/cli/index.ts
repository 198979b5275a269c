import { existsSync } from 'node:fs'
import { CommanderError } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import type { CommandDefinition } from './command.ts'
import { COMMANDS } from './commands.ts'
import { EXIT_CODES, reportError, UsageError } from './exit.ts'
import { buildProgram, parseOptions, selectCommand, toUsageError } from './program.ts'
import { StartError } from '../lib/errors.ts'

/** Names of commands in earlier versions, and their present form. */
const FORMER_COMMANDS: Record<string, string[]> = {
  'db-migrate': ['db', 'migrate'],
  'db-copy': ['db', 'copy'],
  'db-backup': ['db', 'backup']
}

/**
 * Runs one command line. Resolves when the command is done; `serve` and `sandbox` then go on listening.
 *
 * @param args the words after the program's name; without any, the service starts
 * @returns the exit code (`EXIT_CODES`)
 */
export async function runCli(args: string[]): Promise<number> {
  const selected = await selectCommand(COMMANDS, resolveWords(args))
  const words = [...selected.path, ...resolveWords(args).slice(selected.path.length)]
  let exitCode: number = EXIT_CODES.success
  const program = buildProgram(COMMANDS, selected, packageJson.version, async (texts, argument) => {
    const { definition } = selected
    if (definition !== undefined) exitCode = await runCommand(definition, texts, argument)
  })
  try {
    if (words.length === selected.path.length && selected.definition === undefined) {
      throw new UsageError('Missing command.')
    }
    await program.parseAsync(words, { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT_CODES.success
    const reported = error instanceof CommanderError ? toUsageError(error) : error
    return reportError(
      reported instanceof UsageError ? addHelpHint(reported, selected.path) : reported
    )
  }
}

/** `connector help sync` is `connector sync --help`. */
function resolveWords([word, ...rest]: string[]): string[] {
  if (word === undefined) return ['serve']
  if (word === 'help') return [...rest, '--help']
  const former = Object.hasOwn(FORMER_COMMANDS, word) ? FORMER_COMMANDS[word] : undefined
  return [...(former ?? [word]), ...rest]
}

async function runCommand(
  definition: CommandDefinition,
  texts: Record<string, unknown>,
  argument: string
): Promise<number> {
  const options = parseOptions(definition, texts)
  // Files that a command creates, databases above all, are readable by their owner only.
  process.umask(0o077)
  loadEnvFile()
  try {
    return (await definition.run(options, argument)) ?? EXIT_CODES.success
  } catch (error) {
    throw definition.usesDatabase === true ? await toDatabaseError(error) : error
  }
}

function loadEnvFile(): void {
  if (existsSync('.env')) process.loadEnvFile('.env')
}

/** Errors of a driver may quote rows: only their code is shown. Defects of this program keep their stack. */
async function toDatabaseError(error: unknown): Promise<unknown> {
  if (
    error instanceof StartError ||
    error instanceof TypeError ||
    error instanceof RangeError ||
    error instanceof ReferenceError
  ) {
    return error
  }
  const { getDriverErrorCode } = await import('../store/prepared.ts')
  return new StartError(
    [`The database cannot be used (${getDriverErrorCode(error) ?? 'no response'}).`],
    EXIT_CODES.failure
  )
}

function addHelpHint({ problems }: UsageError, path: string[]): UsageError {
  return new UsageError(
    `${problems.join(' ')} Run \`${['connector', ...path, '--help'].join(' ')}\`.`
  )
}
