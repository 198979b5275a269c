import type { TraceabilityRow } from './rows.ts'
import type { Proof } from './titles.ts'

const AREAS: Record<string, string> = {
  A: 'Logins and tokens',
  B: 'Vault',
  C: 'What callers send',
  D: 'Faults and durability',
  E: 'Operation'
}

/** The text of docs/security.md. */
export function renderSecurityDocument(
  threats: readonly TraceabilityRow[],
  promises: readonly TraceabilityRow[],
  proofs: readonly Proof[]
): string {
  const proofsOf = (row: TraceabilityRow) => proofs.filter(({ ids }) => ids.includes(row.id))
  const renderSection = (title: string, rows: readonly TraceabilityRow[]) =>
    `### ${title}\n\n${rows.map((row) => renderEntry(row, proofsOf(row))).join('\n\n')}`
  const renderGroups = (rows: readonly TraceabilityRow[], name: (row: TraceabilityRow) => string) =>
    [...Map.groupBy(rows, name)].map(([title, some]) => renderSection(title, some)).join('\n\n')
  return `# Threats, promises, and what proves that they are met

Written by \`npm run docs:security\` from test/traceability/rows.ts and the titles of the tests; do not edit it. Every threat to the service and every promise that
it makes has an id. A test that proves one carries the id in its title, and \`npm run security:check\` fails where an id has no test, unless what is
missing is said under **Open**, with the reason: that is not done. Ids with tests *and* something open are proved in part.
What runs how is in the [README](../README.md#more): most of it with \`npm test\`, files ending in \`.long.ts\` with
\`npm run test:long\`, \`.load.ts\` with \`npm run test:load\`, \`.browser.ts\` with \`npm run test:browser\`, \`.proxy.ts\` with \`npm run test:proxies\`, and all of it on PostgreSQL too.
In a title \`…\` stands for what is filled in while it runs.

| | All | Proved | In part | Open |
|---|---|---|---|---|
| Threats | ${formatCounts(threats, proofsOf)} |
| Promises | ${formatCounts(promises, proofsOf)} |

## Threats

${renderGroups(threats, ({ rank }) => rank)}

## Promises

P0: needed before anyone trusts it with real tokens. P1: for production.

${renderGroups(promises, ({ id }) => AREAS[id.charAt(0)] ?? '')}
`
}

function formatCounts(
  rows: readonly TraceabilityRow[],
  proofsOf: (row: TraceabilityRow) => Proof[]
): string {
  const countRows = (proved: boolean, open: boolean) =>
    rows.filter((row) => proofsOf(row).length > 0 === proved && (row.open !== undefined) === open)
      .length
  return [rows.length, countRows(true, false), countRows(true, true), countRows(false, true)].join(
    ' | '
  )
}

function renderEntry({ id, rank, title, open }: TraceabilityRow, proofs: Proof[]): string {
  const lines = proofs.map(
    ({ file, title, isConditional }) =>
      `- [${file}](../${file}): ${escapeMarkdown(title)}${isConditional ? ' *(where the machine can)*' : ''}`
  )
  return [
    `**${id}**${/^\d$/.test(rank) ? ` (P${rank})` : ''} ${escapeMarkdown(title)}\n`,
    ...lines,
    ...(open === undefined ? [] : [`- **Open:** ${escapeMarkdown(open)}`])
  ].join('\n')
}

function escapeMarkdown(text: string): string {
  return text.replace(/[\\`*_<>|[\]]/g, '\\$&')
}
