import { existsSync, globSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'

const REPOSITORY_ROOT = join(import.meta.dirname, '../..')

t.test('`npm test` runs every test file: each folder of tests has a suite', async (t) => {
  const files = globSync('test/**/*.test.ts', { cwd: REPOSITORY_ROOT })
  t.ok(files.length > 90)
  for (const folder of new Set(files.map(dirname))) {
    t.ok(existsSync(join(REPOSITORY_ROOT, folder, 'all.suite.ts')), folder)
  }
})
