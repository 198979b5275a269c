import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { createTempFolder } from '../process/child.ts'
import { listFixtures, listMigrations, TESTED_ENGINE } from './fixture.ts'

const PROGRAM = fileURLToPath(new URL('make-fixture.ts', import.meta.url))

t.test('One command makes the fixture of this version', async (t) => {
  const output = createTempFolder(t)
  await promisify(execFile)(process.execPath, [
    PROGRAM,
    ...['--engine', TESTED_ENGINE, '--output', output, '--commit', 'of a test']
  ])
  const [made, ...more] = listFixtures(TESTED_ENGINE, output)
  t.same(more, [])
  t.equal(made?.version, listMigrations(TESTED_ENGINE).at(-1))
  const stored = listFixtures(TESTED_ENGINE).at(-1)
  t.same(made?.migrations, stored?.migrations)
  t.same(listFilledTables(made?.sql), listFilledTables(stored?.sql))
})

function listFilledTables(sql = ''): Set<string> {
  return new Set([...sql.matchAll(/^insert into "(\w+)"/gm)].map(([, table = '']) => table))
}
