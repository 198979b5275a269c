import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import type { CommandEntry } from '../../src/cli/command.ts'
import { COMMANDS } from '../../src/cli/commands.ts'
import { EXIT_CODE_MEANINGS, EXIT_CODES } from '../../src/cli/exit.ts'
import { createTempFolder } from '../process/child.ts'
import { runCommand } from '../process/command.ts'
import { runInProcess } from './helper.ts'

const SECRET = 'pl4nted'
const ADDRESS = `postgres://u:${SECRET}@h/d`

/** Every command that runs, with the words that select it. */
const commands: Array<[path: string[], entry: CommandEntry]> = COMMANDS.flatMap((entry) =>
  'load' in entry
    ? [[[entry.name], entry] as [string[], CommandEntry]]
    : entry.commands.map((each): [string[], CommandEntry] => [[entry.name, each.name], each])
)
const groups = COMMANDS.filter((entry) => 'commands' in entry)

const usageError = (problem: string, ...path: string[]) => ({
  code: 2,
  stdout: '',
  stderr: `${problem} Run \`${['connector', ...path, '--help'].join(' ')}\`.\n`
})

for (const [path, entry] of commands) {
  t.test(`${path.join(' ')}: help, unknown options and missing values`, async (t) => {
    const definition = await entry.load()
    const options = Object.values(definition.options)

    const help = await runInProcess([...path, '--help'])
    t.match(help, { code: 0, stderr: '' })
    for (const { flags } of options) t.ok(help.stdout.includes(flags), `help names ${flags}`)
    t.ok(definition.examples.length > 0)
    for (const [args] of definition.examples) {
      t.ok(help.stdout.includes(`$ ${['connector', ...path, args].join(' ').trim()}\n`), args)
    }
    t.same(await runInProcess(['help', ...path]), help, 'the same as `help` first')
    for (const alias of entry.aliases ?? []) {
      t.same(await runInProcess([...path.slice(0, -1), alias, '--help']), help, alias)
    }

    for (const option of ['--frob', `--frob=${ADDRESS}`]) {
      t.same(
        await runInProcess([...path, option]),
        usageError('Unknown option --frob.', ...path),
        option
      )
    }
    const positionals = definition.argument === undefined ? [] : ['first']
    t.same(
      await runInProcess([...path, ...positionals, ADDRESS]),
      usageError('Unexpected argument.', ...path)
    )
    for (const { flags } of options.filter(({ flags }) => flags.includes('<'))) {
      const [flag = ''] = flags.split(' ')
      t.same(
        await runInProcess([...path, flag]),
        usageError(`Missing value of option ${flag}.`, ...path)
      )
    }
    if (definition.argument !== undefined) {
      t.same(
        await runInProcess(path),
        usageError(`Missing required argument ${definition.argument.name}.`, ...path)
      )
    }
    const required = options
      .filter(({ isRequired }) => isRequired === true)
      .map(({ flags }) => flags.split(' ')[0])
    if (required.length > 0) {
      const noun = required.length > 1 ? 'options' : 'option'
      t.same(
        await runInProcess(path),
        usageError(`Missing required ${noun} ${required.join(', ')}.`, ...path)
      )
    }
  })
}

t.test('Values that break a rule are reported with the rule and are not repeated', async (t) => {
  const CASES: Array<[args: string[], problem: RegExp]> = [
    [['db', 'copy', '--to', `mysql://u:${SECRET}@h/d`], /^--to must be sqlite:/],
    [['db', 'copy', '--to', 'sqlite:///x', `--from=${SECRET}`], /^--from must be sqlite:/],
    [['db', 'backup', '--to', ' '], /^--to must name a file\./],
    [['keys', 'create', '--id', `${SECRET}.`], /^--id must have 1 to 32 letters/],
    [['audit', 'list', '--limit', SECRET], /^--limit must be a whole number\./],
    [['audit', 'list', '--user=-1'], /^--user must be a whole number\./],
    [['audit', 'purge', '--days', '1.5'], /^--days must be a whole number\./],
    [['sandbox', '--port', '65536'], /^--port must be a whole number up to 65535\./],
    [['sandbox', '--pages', SECRET], /^--pages must be a whole number\./],
    [['sandbox', '--access', SECRET], /^--access must be account or resource\./],
    [['sync', '--product', SECRET], /^--product must be jira or confluence\./],
    [['sync', '--product=jira', '--url', `http://u:${SECRET}@x`], /^--url must be an http\(s\)/],
    [['sync', '--product=jira', '--key', `${SECRET}\n`], /^--key must be an API key\./]
  ]
  for (const [args, problem] of CASES) {
    const output = await runInProcess(args)
    t.match(output, { code: 2, stdout: '', stderr: problem }, args.join(' '))
    t.match(output.stderr, / Run `connector [a-z -]+ --help`\.\n$/)
    t.notMatch(output.stderr, SECRET)
  }
})

t.test('Unknown words are reported and start nothing', async (t) => {
  for (const word of ['frobnicate', 'constructor', 'warm-up', '__proto__']) {
    t.same(await runInProcess([word]), usageError(`Unknown command ${word}.`), word)
  }
  t.same(await runInProcess([ADDRESS]), usageError('Unknown command.'))
  t.same(await runInProcess(['--port', '3001']), usageError('Unknown option --port.'))
  for (const { name, examples } of groups.filter((group) => 'commands' in group)) {
    t.same(await runInProcess([name]), usageError('Missing command.', name))
    t.same(await runInProcess([name, 'frob']), usageError('Unknown command frob.', name))
    const help = await runInProcess([name, '--help'])
    t.match(help, { code: 0, stderr: '' })
    for (const [args] of examples) t.ok(help.stdout.includes(`$ connector ${name} ${args}\n`), args)
  }
  const cwd = createTempFolder(t)
  t.same(
    await runCommand(['frobnicate'], { cwd, env: { PORT: '0' } }),
    usageError('Unknown command frobnicate.')
  )
  t.same(readdirSync(cwd), [], 'no database is created')
})

t.test('The program lists its commands, with examples, and its version', async (t) => {
  const help = await runInProcess(['--help'])
  t.match(help, { code: 0, stdout: /Examples:\n {2}\$ connector\n/, stderr: '' })
  for (const { name, summary } of COMMANDS) {
    t.match(help.stdout, new RegExp(`^ {2}${name} +${summary}$`, 'm'))
  }
  const { version } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  ) as { version: string }
  t.same(await runInProcess(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' })
})

t.test('Each npm script that runs the program is a documented alias of a command', async (t) => {
  const { scripts } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  ) as { scripts: Record<string, string> }
  const page = readFileSync(new URL('../../docs/commands.md', import.meta.url), 'utf8')
  const [, documented = ''] = /^The scripts ([^.]*) are aliases/m.exec(page) ?? []
  const aliases: string[] = []
  for (const [name, script] of Object.entries(scripts)) {
    const [, words] = /^node bin\/connector\.js (.+)$/.exec(script) ?? []
    if (words === undefined) continue
    aliases.push(name)
    t.match(await runInProcess([...words.split(' '), '--help']), { code: 0, stderr: '' }, name)
  }
  t.same(
    aliases.sort(),
    [...documented.matchAll(/`(?:npm run )?([\w:-]+)`/g)].map(([, name]) => name).sort()
  )
  t.ok(aliases.includes('keys'))
})

t.test('Every exit code is documented', (t) => {
  const page = readFileSync(new URL('../../docs/commands.md', import.meta.url), 'utf8')
  for (const [name, code] of Object.entries(EXIT_CODES)) {
    const meaning = EXIT_CODE_MEANINGS[name as keyof typeof EXIT_CODES]
    t.ok(page.includes(`| ${code} | ${meaning} |`), name)
  }
  for (const [path] of commands) t.ok(page.includes(`\n## connector ${path.join(' ')}\n`))
  t.end()
})
