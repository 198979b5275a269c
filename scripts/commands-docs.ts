import { writeFileSync } from 'node:fs'
import type { CommandDefinition, CommandEntry, OptionDefinition } from '../src/cli/command.ts'
import { COMMANDS } from '../src/cli/commands.ts'
import { EXIT_CODE_MEANINGS, EXIT_CODES } from '../src/cli/exit.ts'

// `npm run docs:commands` writes docs/commands.md from the definitions of the commands.
const sections: string[] = []
for (const entry of COMMANDS) {
  const commands = 'load' in entry ? [entry] : entry.commands
  const prefix = 'load' in entry ? [] : [entry.name]
  for (const command of commands) sections.push(await describeCommand(prefix, command))
}
const exitCodes = Object.entries(EXIT_CODES).map(
  ([name, code]) =>
    `| ${code} | ${escapeTableCell(EXIT_CODE_MEANINGS[name as keyof typeof EXIT_CODES])} |`
)
const markdown = `# Commands

In a clone, run the program as \`npx --no-install connector\`. The examples leave out \`npx --no-install\`.
Without a command it starts the service. Every command prints its options and examples with \`--help\`.

Commands read the environment and the \`.env\` file of the working directory, like the service
([settings.md](settings.md)). Files that they create are readable by their owner only.

The scripts \`npm run sandbox\`, \`sync\`, \`keys\`, \`api-keys\`, \`audit\`, \`db:migrate\`,
\`db:copy\` and \`db:backup\` are aliases. Options follow \`--\`: \`npm run sync -- --product jira\`.

With \`--json\`, a command prints its result as one line of JSON on standard output. Progress and errors go to
standard error.

## Exit codes

| Code | Meaning |
|---|---|
${exitCodes.join('\n')}

${sections.join('\n\n')}
`
writeFileSync(new URL('../docs/commands.md', import.meta.url), markdown)

async function describeCommand(prefix: string[], entry: CommandEntry): Promise<string> {
  const path = ['connector', ...prefix, entry.name].join(' ')
  const { description, argument, options, examples }: CommandDefinition = await entry.load()
  const usage = `${path}${argument === undefined ? '' : ` <${argument.name}>`}`
  const rows = Object.values(options).map(describeOption)
  const aliases = entry.aliases ?? []
  return [
    `## ${path}`,
    linkPages(description),
    ...(aliases.length > 0 ? [`Also: ${aliases.map((name) => `\`${name}\``).join(', ')}.`] : []),
    ...(argument === undefined ? [] : [`Usage: \`${usage}\`. ${argument.description}`]),
    ...(rows.length > 0 ? [`| Option | Description |\n|---|---|\n${rows.join('\n')}`] : []),
    `Examples:\n\n${examples.map(([args, text]) => `- \`${`${path} ${args}`.trim()}\`: ${text}`).join('\n')}`
  ].join('\n\n')
}

function describeOption(option: OptionDefinition): string {
  const parts = [
    option.description,
    ...(option.isRequired === true ? ['Required.'] : []),
    ...(option.default === undefined ? [] : [`Default: \`${option.default}\`.`])
  ]
  return `| \`${option.flags}\` | ${escapeTableCell(parts.join(' '))} |`
}

function escapeTableCell(text: string): string {
  return text.replaceAll('|', '\\|')
}

/** Help texts name pages from the root of the repository; the written page lies beside them. */
function linkPages(text: string): string {
  return text.replace(/\bdocs\/([\w-]+\.md)/g, '[$1]($1)')
}
