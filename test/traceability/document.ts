import type { Row } from './rows.ts'
import type { Proof } from './titles.ts'

const AREAS: Record<string, string> = {
  A: 'Logins and tokens',
  B: 'Vault',
  C: 'What callers send',
  D: 'Faults and durability',
  E: 'Operation'
}

/** The text of docs/security.md. */
export function securityDocument(
  threats: readonly Row[],
  promises: readonly Row[],
  proofs: readonly Proof[]
): string {
  const of = (row: Row) => proofs.filter(({ ids }) => ids.includes(row.id))
  const section = (title: string, rows: readonly Row[]) =>
    `### ${title}\n\n${rows.map((row) => entry(row, of(row))).join('\n\n')}`
  const grouped = (rows: readonly Row[], name: (row: Row) => string) =>
    [...Map.groupBy(rows, name)].map(([title, some]) => section(title, some)).join('\n\n')
  return `# Threats, promises, and what proves that they are met

Written by \`npm run docs:security\` from test/traceability/rows.ts and the titles of the tests; do not edit it. Every threat to the service and every promise that
it makes has an id. A test that proves one carries the id in its title, and \`npm run security:check\` fails where an id has no test, unless what is
missing is said under **Open**, with the reason: that is not done. Ids with tests *and* something open are proved in part.
What runs how is in the [README](../README.md#more): most of it with \`npm test\`, files ending in \`.long.ts\` with
\`npm run test:long\`, \`.load.ts\` with \`npm run test:load\`, \`.browser.ts\` with \`npm run test:browser\`, \`.proxy.ts\` with \`npm run test:proxies\`, and all of it on PostgreSQL too.
In a title \`…\` stands for what is filled in while it runs.

| | All | Proved | In part | Open |
|---|---|---|---|---|
| Threats | ${counts(threats, of)} |
| Promises | ${counts(promises, of)} |

## Threats

${grouped(threats, ({ rank }) => rank)}

## Promises

P0: needed before anyone trusts it with real tokens. P1: for production.

${grouped(promises, ({ id }) => AREAS[id.charAt(0)] ?? '')}
`
}

function counts(rows: readonly Row[], of: (row: Row) => Proof[]): string {
  const tally = (proved: boolean, open: boolean) =>
    rows.filter((row) => of(row).length > 0 === proved && (row.open !== undefined) === open).length
  return [rows.length, tally(true, false), tally(true, true), tally(false, true)].join(' | ')
}

function entry({ id, rank, title, open }: Row, proofs: Proof[]): string {
  const lines = proofs.map(
    ({ file, title, sometimes }) =>
      `- [${file}](../${file}): ${escaped(title)}${sometimes ? ' *(where the machine can)*' : ''}`
  )
  return [
    `**${id}**${/^\d$/.test(rank) ? ` (P${rank})` : ''} ${escaped(title)}\n`,
    ...lines,
    ...(open === undefined ? [] : [`- **Open:** ${escaped(open)}`])
  ].join('\n')
}

function escaped(text: string): string {
  return text.replace(/[\\`*_<>|[\]]/g, '\\$&')
}
