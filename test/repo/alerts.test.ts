import { globSync } from 'node:fs'
import t from 'tap'
import { readText } from './helper.ts'

const ALERTS = readText('docs/operations/alert-on.md')
const [, ERROR_SECTION = '', WARNING_SECTION = ''] = ALERTS.split(/^## (?:Errors|Warnings)$/m)
/** The events in the first cells of a section's rows, with their level. */
const listRows = (section: string) =>
  [...section.matchAll(/^\| (`[^|]+) \| ([a-z, ]+) \|/gm)].flatMap(([, names = '', level = '']) =>
    [...names.matchAll(/`(\w+)`/g)].map(([, event = '']) => ({ event, level }))
  )

const SOURCES = globSync('{src,plugins,routes}/**/*.ts', {
  cwd: new URL('../../', import.meta.url)
}).map(readText)
const findAll = (pattern: RegExp) =>
  new Set(SOURCES.flatMap((source) => [...source.matchAll(pattern)].map(([, name = '']) => name)))

t.test('docs/operations/alert-on.md lists every event at error or fatal', (t) => {
  const raised = new Set([
    ...findAll(/\.(?:error|fatal)\(\s*\{\s*event: '(\w+)'/g),
    ...findAll(/abortedEvent: '(\w+)'/g)
  ])
  t.ok(raised.has('process_error') && raised.has('database_unavailable'), 'the search finds them')
  const listed = listRows(ERROR_SECTION)
  t.same(listed.map(({ event }) => event).sort(), [...raised].sort())
  for (const { event, level } of listed) t.match(level, /^(error|fatal)$/, event)
  t.end()
})

t.test('docs/operations/alert-on.md lists no event that the source does not log', (t) => {
  const known = findAll(/event: '(\w+)'/g)
  const warnings = listRows(WARNING_SECTION)
  t.ok(warnings.length > 5)
  for (const { event, level } of warnings) {
    t.ok(known.has(event), event)
    t.match(level, /warn/, event)
  }
  t.end()
})
