/** One option of a command. Without `<…>` in its flags it is a switch. */
export interface OptionDefinition {
  /** As commander reads them: `--to <file>`. */
  flags: `--${string}`
  description: string
  isRequired?: boolean
  isRepeatable?: boolean
  /** The value if the option is absent, as text. */
  default?: string
  /** Completes the sentence "--name …" for a value that `parse` rejects. */
  rule?: string
  /** @returns undefined where the value breaks the rule */
  parse?: (text: string) => unknown
}

export type OptionDefinitions = Record<string, OptionDefinition>

type ParsedValue<Option> = Option extends { parse: (text: string) => infer Value }
  ? Exclude<Value, undefined>
  : string
type PresentValue<Option> = Option extends { isRepeatable: true }
  ? Array<ParsedValue<Option>>
  : ParsedValue<Option>
type OptionValue<Option> = Option extends { flags: `${string}<${string}` }
  ? Option extends { isRequired: true } | { default: string }
    ? PresentValue<Option>
    : PresentValue<Option> | undefined
  : boolean

/** The values of a command's options, by the names of their definitions. */
type OptionValues<Options> = {
  -readonly [Name in keyof Options]: OptionValue<Options[Name]>
}

/** Examples of a command: the arguments after its name, and what they do. */
export type Examples = ReadonlyArray<readonly [args: string, explanation: string]>

/** A command: everything that its help, its page in the documentation and the parser need. */
export interface CommandDefinition {
  description: string
  /** The name of its one positional argument. */
  argument?: { name: string; description: string }
  options: OptionDefinitions
  examples: Examples
  /** Errors of a database driver may quote rows: they are reported by code only. */
  usesDatabase?: boolean
  /** @returns the exit code, where it is not 0 */
  run: (options: Record<string, unknown>, argument: string) => Promise<number | void>
}

type TypedDefinition<Options extends OptionDefinitions> = Omit<
  CommandDefinition,
  'options' | 'run'
> & {
  options: Options
  run: (options: OptionValues<Options>, argument: string) => Promise<number | void>
}

/** Declares a command; the types of `run`'s options follow from their definitions. */
export function defineCommand<const Options extends OptionDefinitions>(
  definition: TypedDefinition<Options>
): CommandDefinition {
  // The parser builds the values from the same definitions.
  return definition as unknown as CommandDefinition
}

/** A command's place in the command line; its code is loaded when it is needed. */
export interface CommandEntry {
  name: string
  /** Other accepted names, which the help leaves out. */
  aliases?: readonly string[]
  summary: string
  load: () => Promise<CommandDefinition>
}

/** A word in front of several commands. */
export interface CommandGroup {
  name: string
  summary: string
  examples: Examples
  commands: readonly CommandEntry[]
}

export const JSON_OPTION = {
  flags: '--json',
  description: 'Print the result as JSON on standard output.'
} as const

/** Prints a command's result: for machines as one line of JSON, for people as text. */
export function printResult(isJson: boolean, result: unknown, text: string): void {
  console.log(isJson ? JSON.stringify(result) : text)
}

/** @returns undefined for anything but a decimal number of up to nine digits */
export function parseInteger(text: string): number | undefined {
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined
}
