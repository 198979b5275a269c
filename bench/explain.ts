import { parseArgs } from 'node:util'
import { createStore } from '../src/store/index.ts'
import { generateKeyEntry, parseKeyring, type Keyring } from '../src/vault/keyring.ts'
import { createSigner } from '../src/vault/signer.ts'
import { findAllowedReason } from './explain-allowlist.ts'
import {
  listenToPostgres,
  listenToSqlite,
  captureStatements,
  type CapturedStatement
} from './explain-capture.ts'
import { fillPostgres, fillSqlite, type FilledEngine, type TableSize } from './explain-engines.ts'
import { NOW_MS, type DatasetSize } from './explain-fill.ts'
import { hotQueries } from './explain-queries.ts'
import { formatTable } from './statistics.ts'

/**
 * Fills both engines and shows the plan of every frequent statement of the store, captured while it
 * runs. Exits with 1 if a plan scans a large table, reads many rows in vain, sorts without an index
 * or spills, unless explain-allowlist.ts gives a reason or `--quick` is set.
 */
const { values } = parseArgs({
  options: {
    pages: { type: 'string' },
    users: { type: 'string' },
    quick: { type: 'boolean', default: false },
    engine: { type: 'string', default: 'sqlite,postgres' },
    setting: { type: 'string', multiple: true, default: [] }
  }
})
const size: DatasetSize = {
  pages: Number(values.pages ?? (values.quick ? 20_000 : 1_000_000)),
  users: Number(values.users ?? (values.quick ? 5_100 : 10_000))
}
/** Statements may scan a table with fewer rows. */
const MIN_BIG_TABLE_ROWS = 5_000
const MIB = 2 ** 20

const ENGINES = {
  sqlite: {
    title: 'SQLite',
    fill: fillSqlite,
    listen: ({ file }: FilledEngine) => listenToSqlite(file)
  },
  postgres: { title: 'PostgreSQL', fill: fillPostgres, listen: listenToPostgres }
}
let hasProblems = false
const signer = createSigner(parseKeyring(generateKeyEntry('bench')).keyring as Keyring)

for (const name of values.engine.split(',') as Array<keyof typeof ENGINES>) {
  const { title, fill, listen } = ENGINES[name]
  const filled = await fill(size, values.setting)
  try {
    console.log(
      `\n${title}: filled in ${filled.fillSeconds.toFixed(0)} s, ` +
        `${Math.round(filled.bytes / MIB)} MiB in all\n`
    )
    console.log(
      formatTable([
        ['table', 'rows', 'bytes/row', 'with indexes', 'indexes, bytes/row'],
        ...filled.tableSizes.filter(({ rows }) => rows > 0).map(formatTableSize)
      ])
    )
    const stop = listen(filled)
    const store = createStore(filled.engine, () => NOW_MS, signer)
    const big = new Set(
      filled.tableSizes.filter(({ rows }) => rows >= MIN_BIG_TABLE_ROWS).map(({ table }) => table)
    )
    for (const { name: query, execute } of hotQueries) {
      printStatements(query, await captureStatements(big, async () => await execute(store)))
    }
    stop()
    await filled.engine.close()
  } finally {
    await filled.remove()
  }
}
// With few rows, planners rightly choose scans: a quick run judges nothing.
process.exitCode = hasProblems && !values.quick ? 1 : 0

function printStatements(query: string, statements: readonly CapturedStatement[]): void {
  console.log(`\n${query}`)
  if (statements.length === 0) throw new Error(`${query}: no statement was captured`)
  for (const { text, plan, ms, rows, problems, times } of mergeRepeated(statements)) {
    const notAllowed = problems.filter((problem) => findAllowedReason(query, problem) === undefined)
    const reasons = problems.map((problem) => findAllowedReason(query, problem)).filter(Boolean)
    hasProblems ||= notAllowed.length > 0
    const verdict =
      notAllowed.length > 0
        ? `BAD: ${notAllowed.join(', ')}`
        : problems.length > 0
          ? `accepted: ${problems.join(', ')} (${reasons.join('; ')})`
          : 'good'
    console.log(
      `  ${text.replaceAll(/\s+/g, ' ').slice(0, 100)}` +
        `${times === 1 ? '' : ` (${times} times, the slowest)`}\n    ${plan}\n` +
        `    ${ms.toFixed(2)} ms${Number.isNaN(rows) ? '' : `, ${rows} rows`} · ${verdict}`
    )
  }
}

/** Merges repeated statements into one that shows the slowest. */
function mergeRepeated(
  statements: readonly CapturedStatement[]
): Array<CapturedStatement & { times: number }> {
  const groups = Map.groupBy(statements, ({ text, plan, problems }) =>
    [text, plan, ...problems].join()
  )
  return [...groups.values()].map((same) => ({
    ...same.reduce((slowest, perRow) => (perRow.ms > slowest.ms ? perRow : slowest)),
    times: same.length
  }))
}

function formatTableSize({ table, rows, bytes, indexes }: TableSize): string[] {
  const each = (of: number) => Math.round(of / rows).toLocaleString('en')
  return [
    table,
    Math.round(rows).toLocaleString('en'),
    each(bytes),
    each(bytes + indexes.reduce((sum, index) => sum + index.bytes, 0)),
    indexes.map(({ name, bytes }) => `${name} ${each(bytes)}`).join(', ')
  ]
}
