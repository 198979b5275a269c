import { Command, Option, type CommanderError } from 'commander'
import type {
  CommandDefinition,
  CommandEntry,
  CommandGroup,
  Examples,
  OptionDefinition
} from './command.ts'
import { UsageError } from './exit.ts'

/** Column at which help texts wrap, in terminals of any width. */
const HELP_WIDTH = 100

const PROGRAM_EXAMPLES: Examples = [
  ['', 'Start the service.'],
  ['sandbox', 'Start a stand-in for Atlassian.'],
  ['api-keys create --name crm --scopes data:read', 'Create an API key.']
]

/** A command of the table, found by the first words of the command line. */
export interface SelectedCommand {
  /** The names of its groups and its own, without aliases. */
  path: string[]
  /** Missing for a group, or where no command has the name. */
  definition?: CommandDefinition
}

/** Loads the one command that the command line names. */
export async function selectCommand(
  commands: ReadonlyArray<CommandEntry | CommandGroup>,
  [word, ...rest]: string[]
): Promise<SelectedCommand> {
  const entry = commands.find(
    (each) => each.name === word || ('aliases' in each && each.aliases?.includes(word ?? ''))
  )
  if (entry === undefined) return { path: [] }
  if ('load' in entry) return { path: [entry.name], definition: await entry.load() }
  const { path, ...selected } = await selectCommand(entry.commands, rest)
  return { path: [entry.name, ...path], ...selected }
}

/**
 * Builds the parser. Only the selected command has its options; the others are there to be listed.
 *
 * @param run receives the options as text, by their names, and the positional argument
 */
export function buildProgram(
  commands: ReadonlyArray<CommandEntry | CommandGroup>,
  { path, definition }: SelectedCommand,
  version: string,
  run: (values: Record<string, unknown>, argument: string) => Promise<void>
): Command {
  const program = configure(new Command('connector'))
    .description('Connects people\'s Atlassian accounts to software. Without a command: "serve".')
    .version(version, '--version', 'Print the version.')
    .addHelpText('after', formatExamples([], PROGRAM_EXAMPLES))
    .addHelpText('after', '\nRun `connector COMMAND --help` for the options of a command.')
  addCommands(program, commands)
  if (definition === undefined) return program

  const selected = path.reduce(
    (parent, name) => parent.commands.find((each) => each.name() === name) ?? parent,
    program
  )
  selected.description(definition.description)
  if (definition.argument !== undefined) {
    selected.argument(`<${definition.argument.name}>`, definition.argument.description)
  }
  for (const option of Object.values(definition.options)) selected.addOption(toOption(option))
  selected.addHelpText('after', formatExamples(path, definition.examples))
  selected.action(async () => {
    await run(selected.opts(), selected.args[0] ?? '')
  })
  return program
}

function addCommands(parent: Command, commands: ReadonlyArray<CommandEntry | CommandGroup>): void {
  for (const entry of commands) {
    const command = configure(parent.command(entry.name)).summary(entry.summary)
    command.description(entry.summary)
    if ('commands' in entry) {
      addCommands(command, entry.commands)
      command.addHelpText('after', formatExamples([entry.name], entry.examples))
    }
  }
}

function configure(command: Command): Command {
  return command
    .exitOverride()
    .configureOutput({
      writeErr: () => {},
      getOutHelpWidth: () => HELP_WIDTH
    })
    .helpOption('--help', 'Print this help.')
    .helpCommand(false)
    .allowExcessArguments(false)
    .showSuggestionAfterError(false)
}

function toOption({ flags, description, isRequired, isRepeatable, ...rest }: OptionDefinition) {
  const option = new Option(flags, isRequired === true ? `${description} Required.` : description)
  if (rest.default !== undefined) option.default(rest.default)
  if (isRepeatable === true) {
    option.argParser((value: string, previous: string[] = []) => [...previous, value])
  }
  return option
}

function formatExamples(path: string[], examples: Examples): string {
  const lines = examples.map(
    ([args, text]) => `  $ ${['connector', ...path, args].join(' ').trim()}\n      ${text}`
  )
  return `\nExamples:\n${lines.join('\n')}`
}

/**
 * Converts the options as typed into values.
 *
 * @throws UsageError that names the options, never their values
 */
export function parseOptions(
  { options }: CommandDefinition,
  texts: Record<string, unknown>
): Record<string, unknown> {
  const missing: string[] = []
  const values: Record<string, unknown> = {}
  for (const [name, option] of Object.entries(options)) {
    const parsed = new Option(option.flags)
    const given = texts[parsed.attributeName()]
    if (given === undefined && option.isRequired === true) missing.push(getFlag(option))
    // Commander reads `--no-wait` as false for `wait`.
    values[name] = parsed.required ? parseValue(option, given) : given === !parsed.negate
  }
  if (missing.length > 0) {
    throw new UsageError(
      `Missing required option${missing.length > 1 ? 's' : ''} ${missing.join(', ')}.`
    )
  }
  return values
}

function parseValue(option: OptionDefinition, given: unknown): unknown {
  if (Array.isArray(given)) return given.map((text) => parseValue(option, text))
  if (given === undefined || option.parse === undefined) return given
  const value = option.parse(given as string)
  if (value === undefined) {
    throw new UsageError(`${getFlag(option)} ${option.rule ?? 'is invalid'}.`)
  }
  return value
}

function getFlag({ flags }: OptionDefinition): string {
  return flags.split(' ', 1)[0] ?? flags
}

/** Commander's messages repeat what was typed, which may be an address with a password. */
export function toUsageError({ code, message }: CommanderError): UsageError {
  const [, subject = ''] = /'(-{0,2}[\w:-]{1,40})(?=[= '])/.exec(message) ?? []
  const name = subject === '' ? '' : ` ${subject}`
  switch (code) {
    case 'commander.unknownOption':
      return new UsageError(`Unknown option${name}.`)
    case 'commander.unknownCommand':
      return new UsageError(`Unknown command${name}.`)
    case 'commander.optionMissingArgument':
      return new UsageError(`Missing value of option${name}.`)
    case 'commander.missingArgument':
      return new UsageError(`Missing required argument${name}.`)
    case 'commander.excessArguments':
      return new UsageError('Unexpected argument.')
    default:
      return new UsageError('The arguments are invalid.')
  }
}
