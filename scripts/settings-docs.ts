import { writeFileSync } from 'node:fs'
import { ALIASES } from '../src/config/aliases.ts'
import { Env, type Setting } from '../src/config/schema.ts'

// `npm run docs:settings` writes docs/settings.md from the schema, so that the two cannot disagree.
const rows = (
  Object.entries(Env.properties) as Array<
    [Setting, { description?: string; rule?: string; default?: unknown }]
  >
).map(
  ([name, { description = '', rule = '', default: byDefault }]) =>
    `| \`${name}\` | ${byDefault === undefined ? '' : `\`${String(byDefault)}\``} | ${escapeTableCell(description)}${rule === '' ? '' : ` It ${escapeTableCell(rule)}.`} |`
)

const names = Object.entries(ALIASES).map(
  ([setting, accepted]) => `- \`${setting}\`: ${accepted.map((name) => `\`${name}\``).join(', ')}`
)

writeFileSync(
  new URL('../docs/settings.md', import.meta.url),
  `# Settings

Environment variables, or lines of a \`.env\` file in the working directory. Values are trimmed; an empty value counts as unset. Every
problem is named at start, all of them together; the exit code is then 78. A variable that looks like a misspelt setting is
one of them.

| Setting | Default | What it does |
|---|---|---|
${rows.join('\n')}

## Names that are accepted, in order

The first one that is not empty wins. A secret under a \`NEXT_PUBLIC_…\` name works and is warned about: such names are published to
browsers. Confluence's redirect URI is never borrowed from a variable whose path is Jira's own callback
(\`/auth/jira/callback\`): with one app for both products use \`/oauth/atlassian/callback\`, or give Confluence its own.

${names.join('\n')}
`
)

function escapeTableCell(text: string): string {
  return text.replaceAll('|', '\\|')
}
