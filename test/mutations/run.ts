import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { MUTATIONS } from './all.ts'
import type { Mutation } from './mutation.ts'

/**
 * `npm run security:mutations`: breaks one defence after the other in a copy of the repository.
 * The test of each has to fail. `--tenth` tries a tenth of them, chosen by the commit; words choose
 * mutations by name.
 */
const { values: options, positionals: words } = parseArgs({
  allowPositionals: true,
  options: { tenth: { type: 'boolean', default: false } }
})
const TIMEOUT_MS = 300_000

const root = process.cwd()
const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()

function chooseMutations(): readonly Mutation[] {
  const named = MUTATIONS.filter(
    ({ name }) => words.length === 0 || words.some((word) => name.includes(word))
  )
  if (!options.tenth) return named
  const commit = git('rev-parse', 'HEAD')
  const toOrder = ({ name }: Mutation) =>
    createHash('sha256')
      .update(commit + name)
      .digest('hex')
  return [...named]
    .sort((a, b) => (toOrder(a) < toOrder(b) ? -1 : 1))
    .slice(0, Math.ceil(named.length / 10))
}

/** Copies what the repository tracks; the packages are shared. */
function copyRepository(): string {
  const copy = mkdtempSync(join(tmpdir(), 'connector-mutations-'))
  const files = git('ls-files', '--cached', '--others', '--exclude-standard').split('\n')
  for (const file of files) cpSync(join(root, file), join(copy, file), { recursive: true })
  for (const folder of ['.tap', 'dist']) {
    cpSync(join(root, folder), join(copy, folder), { recursive: true, force: true })
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  return copy
}

/** @returns whether the test failed by an assertion, and its output */
async function runTest(copy: string, test: string): Promise<{ failed: boolean; output: string }> {
  const tap = ['node_modules/.bin/tap', '--disable-coverage', '--jobs=1', '--bail', test]
  const child = spawn(process.execPath, tap, { cwd: copy, stdio: 'pipe', timeout: TIMEOUT_MS })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  }
  const [code] = (await once(child, 'close')) as [number | null]
  return { failed: code !== 0 && /^\s+not ok /m.test(output), output }
}

const copy = copyRepository()
let survivors = 0
try {
  const chosen = chooseMutations()
  for (const { name, file, find, replace, test } of chosen) {
    const path = join(copy, file)
    const source = readFileSync(path, 'utf8')
    if (source.split(find).length !== 2) throw new Error(`${file} must contain once: ${find}`)
    writeFileSync(
      path,
      source.replace(find, () => replace)
    )
    const { failed, output } = await runTest(copy, test)
    writeFileSync(path, source)
    if (!failed) survivors++
    console.log(`${failed ? 'noticed' : 'SURVIVED'}: ${name} (${test})`)
    if (!failed) console.log(output.slice(-2_000))
  }
  console.log(`${chosen.length} mutations, ${survivors} of them not noticed`)
} finally {
  rmSync(copy, { recursive: true, force: true })
}
if (survivors > 0) process.exitCode = 1
