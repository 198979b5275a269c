import { parseArgs } from 'node:util'
import { createStore } from '../src/store/index.ts'
import { accepted } from './explain-allowlist.ts'
import { listenToPostgres, listenToSqlite, recorded, type Seen } from './explain-capture.ts'
import { filledPostgres, filledSqlite, type Filled, type Space } from './explain-engines.ts'
import { NOW, type Size } from './explain-fill.ts'
import { hot } from './explain-queries.ts'
import { table } from './statistics.ts'

/**
 * Fills both engines, and shows how each goes about every hot statement of the store: the statements that it really sends, caught
 * on their way. Ends with 1 where one scans a big table, reads much in vain, sorts without an index or spills, and nobody has accepted that.
 */
const { values } = parseArgs({
  options: {
    pages: { type: 'string', default: '1000000' },
    users: { type: 'string', default: '10000' },
    engine: { type: 'string', default: 'sqlite,postgres' },
    setting: { type: 'string', multiple: true, default: [] }
  }
})
const size: Size = { pages: Number(values.pages), users: Number(values.users) }
/** A table with fewer rows may be read as a whole. */
const BIG_ROWS = 5_000
const MIB = 2 ** 20

const ENGINES = {
  sqlite: {
    title: 'SQLite',
    fill: filledSqlite,
    listen: ({ file }: Filled) => listenToSqlite(file)
  },
  postgres: { title: 'PostgreSQL', fill: filledPostgres, listen: listenToPostgres }
}
let isBad = false

for (const name of values.engine.split(',') as Array<keyof typeof ENGINES>) {
  const { title, fill, listen } = ENGINES[name]
  const filled = await fill(size, values.setting)
  try {
    console.log(
      `\n${title}: filled in ${filled.tookS.toFixed(0)} s, ${Math.round(filled.bytes / MIB)} MiB in all\n`
    )
    console.log(
      table([
        ['table', 'rows', 'bytes/row', 'with indexes', 'indexes, bytes/row'],
        ...filled.spaces.filter(({ rows }) => rows > 0).map(spaceRow)
      ])
    )
    const stop = listen(filled)
    const store = createStore(filled.engine, () => NOW)
    const big = new Set(
      filled.spaces.filter(({ rows }) => rows >= BIG_ROWS).map(({ table }) => table)
    )
    for (const { name: query, ask } of hot) {
      show(query, await recorded(big, async () => await ask(store)))
    }
    stop()
    await filled.engine.close()
  } finally {
    await filled.remove()
  }
}
process.exitCode = isBad ? 1 : 0

function show(query: string, seen: readonly Seen[]): void {
  console.log(`\n${query}`)
  if (seen.length === 0) throw new Error(`${query}: nothing was asked`)
  for (const { text, plan, ms, rows, problems, times } of once(seen)) {
    const left = problems.filter((problem) => accepted(query, problem) === undefined)
    const because = problems.map((problem) => accepted(query, problem)).filter(Boolean)
    isBad ||= left.length > 0
    const verdict =
      left.length > 0
        ? `BAD: ${left.join(', ')}`
        : problems.length > 0
          ? `accepted: ${problems.join(', ')} (${because.join('; ')})`
          : 'good'
    console.log(
      `  ${text.replaceAll(/\s+/g, ' ').slice(0, 100)}${times === 1 ? '' : ` (${times} times, the slowest)`}\n    ${plan}\n    ${ms.toFixed(2)} ms${Number.isNaN(rows) ? '' : `, ${rows} rows`} · ${verdict}`
    )
  }
}

/** A statement that is sent again and again is shown once. */
function once(seen: readonly Seen[]): Array<Seen & { times: number }> {
  const alike = Map.groupBy(seen, ({ text, plan, problems }) => [text, plan, ...problems].join())
  return [...alike.values()].map((same) => ({
    ...same.reduce((slowest, each) => (each.ms > slowest.ms ? each : slowest)),
    times: same.length
  }))
}

function spaceRow({ table, rows, bytes, indexes }: Space): string[] {
  const each = (of: number) => Math.round(of / rows).toLocaleString('en')
  return [
    table,
    Math.round(rows).toLocaleString('en'),
    each(bytes),
    each(bytes + indexes.reduce((sum, index) => sum + index.bytes, 0)),
    indexes.map(({ name, bytes }) => `${name} ${each(bytes)}`).join(', ')
  ]
}
