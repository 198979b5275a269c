import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'

const REPOSITORY_ROOT = join(import.meta.dirname, '../..')

// Tests that replace `process.stdout.write` lose what tap writes for others, so test/cli has no suite.
t.test('`npm test` runs every test file, by itself or in the suite of its folder', async (t) => {
  const { tap } = JSON.parse(readFileSync(join(REPOSITORY_ROOT, 'package.json'), 'utf8')) as {
    tap: { include: string[] }
  }
  const included = globSync(tap.include, { cwd: REPOSITORY_ROOT })
  const files = globSync('test/**/*.test.ts', { cwd: REPOSITORY_ROOT })
  t.ok(files.length > 90)
  for (const file of files) {
    const suite = join(dirname(file), 'all.suite.ts')
    t.not(included.includes(file), included.includes(suite), `${file} runs once`)
    if (!included.includes(file)) t.ok(existsSync(join(REPOSITORY_ROOT, suite)), suite)
  }
})
